"""Candidates per second through the whole graph, and peak memory of the driver, at growing numbers of candidates.

Each size runs in a process of its own, into a store that is deleted afterwards. Peak memory is what a process shares
with no other (USS): the object store that Ray maps into every process has a size of its own (`ray.object_store_mb`). It
is sampled twice a second while the job runs. What the manifest's own rows take is printed beside it. Reproduce with

    make bench
    .venv/bin/python benchmarks/whole_graph.py --sizes 1000,4000,16000
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import psutil

JOB = {
    "name": "bench",
    "sources": [{"kind": "iconify"}],
    "targets": {"per_subject": 6},
    "faults": {"share": 0.3},
}


def run_one(candidates: int, pixels: int) -> dict[str, Any]:
    """Run one job of so many candidates, in pictures of so many pixels a side, and return its figures."""
    import yaml

    from curation.job import run_job
    from curation.spec.load import load_spec
    from manifests.store import Store

    folder = Path(tempfile.mkdtemp(prefix="triptych-bench-"))
    try:
        spec_path = folder / "job.yaml"
        spec_path.write_text(yaml.safe_dump({**JOB, "image": {"size": pixels}}))
        spec = load_spec(spec_path)
        peak = MemoryPeak()
        with peak:
            summary = run_job(spec, Store(folder / "store"), limit=candidates // 2)
        manifest = sum(path.stat().st_size for path in (folder / "store" / "tables").rglob("*.parquet"))
        return {
            "candidates": summary.progress.committed,
            "seconds": round(summary.seconds, 1),
            "per_second": round(summary.progress.committed / summary.seconds, 1),
            "driver_peak_mb": peak.driver,
            "workers_peak_mb": peak.workers,
            "rows_mb": round(Store(folder / "store").triplets.read().nbytes / 1e6, 1),
            "manifest_mb": round(manifest / 1e6, 1),
        }
    finally:
        shutil.rmtree(folder)


class MemoryPeak:
    """Watches memory that no other process shares (USS), in MB: this process's, and its Ray workers' summed."""

    def __init__(self) -> None:
        self.driver = 0
        self.workers = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(0.5):
            self.driver = max(self.driver, round(psutil.Process().memory_full_info().uss / 1e6))
            total = 0
            for child in psutil.Process().children(recursive=True):
                try:
                    if child.name().startswith("ray::"):
                        total += child.memory_full_info().uss
                except psutil.Error:
                    continue
            self.workers = max(self.workers, round(total / 1e6))


def main() -> None:
    """Run the sizes asked for, each in a fresh process, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1000,4000,16000", help="numbers of candidates, by commas")
    parser.add_argument("--pixels", type=int, default=128, help="side of the pictures")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(run_one(arguments.one, arguments.pixels)))
        return
    print(f"{'candidates':>10} {'seconds':>8} {'per s':>6} {'driver MB':>9} {'workers MB':>10} {'rows MB':>8}")
    for size in map(int, arguments.sizes.split(",")):
        started = time.monotonic()
        command = [sys.executable, __file__, "--one", str(size), "--pixels", str(arguments.pixels)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{size}: failed after {time.monotonic() - started:.0f} s\n{done.stderr[-3000:]}")
        row = json.loads(done.stdout.strip().splitlines()[-1])
        print(
            f"{row['candidates']:>10,} {row['seconds']:>8} {row['per_second']:>6} {row['driver_peak_mb']:>9,} "
            f"{row['workers_peak_mb']:>10,} {row['rows_mb']:>8}"
        )


if __name__ == "__main__":
    main()
