"""Planning a resume: which of so many candidates are not in a manifest that holds almost all of them.

The manifest is made first, by the writer of commits, with ids like those of a job. The plan runs in a process of its
own, which is given the candidates' ids; its time and its peak memory (these ids included) are printed. Reproduce with

    .venv/bin/python benchmarks/resume_plan.py --candidates 10000000
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pyarrow as pa

ROWS = 100_000
"""Rows of one commit: 100 such commits are ten million candidates."""

DIGITS = np.frombuffer(b"0123456789abcdef", np.uint8)


def ids(number: int, rows: int) -> pa.Array:
    """Return candidate ids, the same ones for the same number."""
    raw = np.random.default_rng(number).integers(0, 256, (rows, 16), np.uint8)
    letters = np.empty((rows, 32), np.uint8)
    letters[:, 0::2], letters[:, 1::2] = DIGITS[raw >> 4], DIGITS[raw & 15]
    offsets = np.arange(0, 32 * rows + 1, 32, dtype=np.int32)
    return pa.Array.from_buffers(pa.string(), rows, [None, pa.py_buffer(offsets), pa.py_buffer(letters.tobytes())])


def make(folder: Path, candidates: int) -> float:
    """Make the manifest, and return the seconds that its commits took."""
    from manifests.arrow_schema import arrow_schema
    from manifests.records import Triplet
    from manifests.store import Store

    schema, table = arrow_schema(Triplet), Store(folder).triplets
    start = time.perf_counter()
    for number in range(candidates // ROWS):
        policy = "other" if number % 10 == 0 else "this"
        columns = [_column(field, number, policy) for field in schema]
        table.append(pa.Table.from_arrays(columns, schema=schema))
    return time.perf_counter() - start


def _column(field: pa.Field, number: int, policy: str) -> pa.Array:
    if field.name == "candidate_id":
        return ids(number, ROWS)
    if field.nullable:
        return pa.nulls(ROWS, field.type)
    if pa.types.is_list(field.type):
        return pa.array([[]] * ROWS, field.type)
    empty: object = policy if pa.types.is_string(field.type) else False if pa.types.is_boolean(field.type) else 0
    return pa.repeat(pa.scalar(empty, field.type), ROWS)


def plan(folder: Path, candidates: int) -> dict[str, object]:
    """Plan, and return what it found and took. A tenth of a batch more than the manifest holds is asked for."""
    from manifests.resume import committed
    from manifests.store import Store

    batches = candidates // ROWS
    wanted = pa.chunked_array([ids(number, ROWS) for number in range(batches)] + [ids(batches, ROWS // 10)])
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    found = committed(Store(folder).triplets, wanted, policy="this")
    seconds = time.perf_counter() - start
    missing = sum(chunk.true_count for chunk in found.missing.chunks)
    assert missing == ROWS // 10
    return {
        "candidates": candidates,
        "missing": missing,
        "other_policy": found.other_policy,
        "seconds": round(seconds, 1),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "ids_and_imports_mb": round(before / 1024),
        "load": round(os.getloadavg()[0], 1),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--candidates", type=int, default=10_000_000)
    parser.add_argument("--plan", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.plan:
        print(json.dumps(plan(options.plan, options.candidates)))
        return
    folder = Path(tempfile.mkdtemp(prefix="triptych-resume-"))
    try:
        print(f"made in {make(folder, options.candidates):.0f} s", file=sys.stderr)
        command = [sys.executable, __file__, "--plan", str(folder), "--candidates", str(options.candidates)]
        print(subprocess.run(command, capture_output=True, text=True, check=True).stdout, end="")
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
