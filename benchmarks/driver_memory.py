"""Memory of a job's driver as candidates grow: its own code on made-up targets, with stages that take no time.

Windows of targets are proposed, held against the manifest, ordered, fed to Ray Data, packed and committed, as
`curation.job` does it; every candidate is rejected by the first stage, so that no image is needed. Each size runs in a
process of its own. Peak memory is what the driver shares with no other process (USS), less what it had before; the
targets themselves, which a job holds as long as it runs, are given apart. `--propose-only` leaves Ray and the commits
out, for sizes that would take hours here; `--window 0` proposes all at once. Reproduce with

    .venv/bin/python benchmarks/driver_memory.py --sizes 10000,100000
    .venv/bin/python benchmarks/driver_memory.py --sizes 100000,1000000 --propose-only
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
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
    "name": "memory",
    "sources": [{"kind": "iconify"}],
    "stages": {"load": {"batch": 512, "cpus": 0.5}, "pack": {"cpus": 0.5}},
    "shards": {"candidates": 2048},
}


class Peak:
    """The driver's memory (USS, in MB), looked at ten times a second."""

    def __init__(self) -> None:
        self.most = self.now()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Peak:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._stop.set()
        self._thread.join()
        self.most = max(self.most, self.now())

    @staticmethod
    def now() -> float:
        return float(psutil.Process().memory_full_info().uss / 1e6)

    def _watch(self) -> None:
        while not self._stop.wait(0.1):
            self.most = max(self.most, self.now())


def made_up_targets(count: int) -> list[Any]:
    from curation.candidates import IngestedTarget
    from manifests.images import ImageRef

    def digest(text: str) -> str:
        return hashlib.sha256(text.encode()).hexdigest()

    return [
        IngestedTarget(
            ImageRef(
                source="iconify",
                locator=f"noto/subject-{number}",
                fingerprint=digest(f"f{number}")[:32],
                subject=f"subject {number}",
                family="color",
                licence="Apache-2.0",
                author="Google",
                attribution_url="https://github.com/googlefonts/noto-emoji",
                package="@iconify-json/noto@1.2.3",
            ),
            digest(f"r{number}"),
            digest(f"a{number}"),
        )
        for number in range(count)
    ]


def run_one(candidates: int, window: int, propose_only: bool) -> dict[str, Any]:
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    import ray

    from curation.candidates import Digests, in_shard_order, proposals
    from curation.spec.model import JobSpec
    from curation.windows import windows
    from manifests.resume import committed
    from manifests.store import Store

    spec = JobSpec.model_validate(JOB)
    digests = Digests(spec.generation_digest, "s" * 32, spec.policy.digest)
    if not propose_only:
        ray.init(
            address="local",
            num_cpus=2,
            object_store_memory=400 * 1024 * 1024,
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
        ray.data.DataContext.get_current().enable_progress_bars = False
        logging.getLogger("ray.data").setLevel(logging.ERROR)
    folder = Path(tempfile.mkdtemp(prefix="triptych-memory-"))
    before, started, done = Peak.now(), time.monotonic(), 0
    try:
        store = Store(folder / "store")
        targets = made_up_targets(candidates // 2)
        held = Peak.now() - before
        with Peak() as peak:
            for part in windows(targets, spec, candidates=window or candidates):
                table = proposals(part, spec, digests)
                here = committed(store.triplets, table["candidate_id"], policy=digests.policy)
                todo = in_shard_order(table.filter(here.missing))
                done += todo.num_rows if propose_only else _feed(spec, todo, store)
        assert done == candidates
        if not propose_only:
            assert len(store.triplets.read(["candidate_id"])["candidate_id"].unique()) == candidates
        return {
            "driver": round(peak.most - before - held),
            "targets": round(held),
            "seconds": round(time.monotonic() - started),
        }
    finally:
        if not propose_only:
            ray.shutdown()
        shutil.rmtree(folder)


def _feed(spec: Any, todo: Any, store: Any) -> int:
    """Feed one window to Ray Data and commit what comes, and return how many rows that was."""
    from curation.graph.candidate_graph import PackWorker
    from curation.graph.pack import from_ipc
    from curation.graph.streaming import Stream

    stream = Stream(todo, {"load": spec.stages.load}, shard=spec.shards.candidates)
    stream.then("load", _rejecting_stage, {})
    rows = 0
    for packed in stream.pack(PackWorker, {"spec": spec, "store": store}, spec.stages.pack).iter_rows():
        triplets = from_ipc(packed["triplets"])
        store.commit(triplets, from_ipc(packed["assets"]), [], judgements=from_ipc(packed["judgements"]))
        rows += triplets.num_rows
    return rows


def _rejecting_stage() -> Any:
    from curation.graph.rows import Row, reject
    from curation.graph.stage import Stage

    class Rejecting(Stage):
        name = "load"

        def process(self, rows: list[Row]) -> None:
            for row in rows:
                reject(row, "load_failed:bench")

    return Rejecting()


def main() -> None:
    """Run the sizes asked for, each in a fresh process, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="10000,100000", help="numbers of candidates, by commas")
    parser.add_argument("--window", type=int, default=131_072, help="candidates in a window; 0 for all at once")
    parser.add_argument("--propose-only", action="store_true", help="no Ray, no commits")
    parser.add_argument("--one", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(run_one(arguments.one, arguments.window, arguments.propose_only)))
        return
    print(f"{'candidates':>10} {'window':>8} {'driver MB':>9} {'targets MB':>10} {'seconds':>8}", flush=True)
    for size in map(int, arguments.sizes.split(",")):
        command = [sys.executable, __file__, "--one", str(size), "--window", str(arguments.window)]
        command += ["--propose-only"] * arguments.propose_only
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            sys.exit(f"{size} candidates failed\n{done.stderr[-3000:]}")
        row = json.loads(done.stdout.strip().splitlines()[-1])
        print(
            f"{size:>10,} {arguments.window:>8,} {row['driver']:>9,} {row['targets']:>10,} {row['seconds']:>8,}",
            flush=True,
        )


if __name__ == "__main__":
    main()
