"""How busy the graph keeps 16 GPUs, by the job's own metrics, as rows get cheaper.

The GPUs are simulated and the model sleeps (0.5 s a row and less); all else is real: Ray, the graph's own settings,
stage workers, order, shards of 512 rows with images of 30 kB in their rows. Busy share is the rise of
`triptych_stage_busy_seconds_total` over that of `triptych_stage_actor_seconds_total`, scraped from Ray's metrics port
between a quarter and 85 % of the rows (after warm-up, before the last tasks run dry); rows/s is the slope of
`triptych_stage_rows_total` in the same time (least squares), its ideal GPUs / seconds a row. The last column is a
digest of all rows in their shards: it must be the same whenever the number of rows is.

Reproduce with

    .venv/bin/python benchmarks/cluster_busy.py
    .venv/bin/python benchmarks/cluster_busy.py --seconds 0.5 --batch 32
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections import defaultdict
from typing import Any

import numpy as np

_LINE = re.compile(r"ray_triptych_stage_(busy_seconds|actor_seconds|rows)_total\{(.*)\} (\S+)$")


class Scraper(threading.Thread):
    """Reads the metrics port twice a second: time, rows, busy and actor seconds of each stage."""

    def __init__(self, address: str) -> None:
        super().__init__(daemon=True)
        self.samples: list[tuple[float, dict[str, dict[str, float]]]] = []
        self.done = threading.Event()
        self._address = address

    def run(self) -> None:
        while not self.done.wait(0.5):
            try:
                with urllib.request.urlopen(self._address, timeout=10) as answer:
                    text = answer.read().decode()
            except OSError:
                continue
            found: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
            for line in text.splitlines():
                if match := _LINE.match(line):
                    stage = re.search(r'stage="(\w+)"', match[2])
                    if stage:
                        found[stage[1]][match[1]] += float(match[3])
            self.samples.append((time.monotonic(), found))


def run_one(seconds: float, rows: int, gpus: int, batch: int, load_batch: int, shard: int) -> dict[str, Any]:
    """Run the graph once and return its figures."""
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    import ray

    from curation.simulate.asleep import Pace, run_asleep
    from curation.spec.stages import StageSpec

    ray.init(
        address="local",
        num_cpus=8,
        num_gpus=gpus,
        object_store_memory=800 * 1024 * 1024,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        _system_config={"metrics_report_interval_ms": 500},
    )
    ray.data.DataContext.get_current().enable_progress_bars = False
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    small = StageSpec(cpus=0.25, batch=load_batch)
    stages = {
        "load": small,
        "model": StageSpec(cpus=0.1, gpus=1.0, batch=batch, workers=(gpus, gpus)),
        "score": small,
        "pack": small,
    }
    paces = {"load": Pace(0.0005), "model": Pace(seconds), "score": Pace(0.0005), "pack": Pace(0.0005)}
    scraper = Scraper(f"http://127.0.0.1:{ray.nodes()[0]['MetricsExportPort']}/metrics")
    scraper.start()
    shards = list(run_asleep(stages, paces, rows=rows, shard=shard, row_bytes=30_000))
    time.sleep(2)
    scraper.done.set()
    scraper.join()
    ray.shutdown()
    window = [(t, f["model"]) for t, f in scraper.samples if 0.25 * rows <= f["model"]["rows"] <= 0.85 * rows]
    (begin, first), (end, last) = window[0], window[-1]
    busy = (last["busy_seconds"] - first["busy_seconds"]) / (last["actor_seconds"] - first["actor_seconds"])
    slope = float(np.polyfit([t for t, _ in window], [f["rows"] for _, f in window], 1)[0])
    ideal = gpus / seconds
    assert sum(one.rows for one in shards) == rows
    assert all(len(one.numbers) == 1 for one in shards)
    return {
        "busy": round(busy, 4),
        "throughput": round(slope / ideal, 4),
        "rows_per_second": round(slope, 1),
        "window_seconds": round(end - begin, 1),
        "whole_seconds": round(shards[-1].seconds, 1),
        "whole_share": round(rows / shards[-1].seconds / ideal, 3),
        "shards": hashlib.sha256("".join(one.digest for one in shards).encode()).hexdigest()[:12],
    }


def main() -> None:
    """Run every pace in a process of its own, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", default="0.5,0.2,0.1,0.05", help="seconds a row, by commas")
    parser.add_argument("--gpus", type=int, default=16)
    parser.add_argument("--batch", type=int, default=8, help="rows in a call of the model")
    parser.add_argument("--load-batch", type=int, default=32, help="rows in a call of the other stages")
    parser.add_argument("--shard", type=int, default=512)
    parser.add_argument("--minutes", type=float, default=1.5, help="length of a run at full speed")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(run_one(**json.loads(arguments.one))))
        return
    heads = f"{'s a row':>8} {'rows':>7} {'busy':>7} {'rows/s':>7} {'of ideal':>8}"
    print(heads, f"{'whole run, s':>12} {'of ideal':>8}  shards", flush=True)
    for seconds in map(float, arguments.seconds.split(",")):
        rows = max(4, round(60 * arguments.minutes * arguments.gpus / seconds / arguments.shard)) * arguments.shard
        keys = {"seconds": seconds, "rows": rows, "gpus": arguments.gpus, "batch": arguments.batch}
        keys |= {"load_batch": arguments.load_batch, "shard": arguments.shard}
        command = [sys.executable, __file__, "--one", json.dumps(keys)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{seconds} s a row failed\n{done.stderr[-3000:]}")
        row = json.loads(done.stdout.strip().splitlines()[-1])
        print(
            f"{seconds:>8} {rows:>7,} {row['busy']:>7.1%} {row['rows_per_second']:>7} {row['throughput']:>8.1%} "
            f"{row['whole_seconds']:>12} {row['whole_share']:>8.1%}  {row['shards']}",
            flush=True,
        )


if __name__ == "__main__":
    main()
