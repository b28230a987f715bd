"""Runs of a loader, each rank a fresh process."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from loaders.contract import Place
from loaders.rank import Job, Report

BENCHMARKS = Path(__file__).resolve().parent.parent
LINE = "REPORT "


class RunFailedError(RuntimeError):
    """A process of a run came to grief; the message is the end of what it said."""


def run(job: Job, folder: Path, *, keep: bool = False, timeout: float = 300) -> tuple[list[Report], list[str]]:
    """Run all ranks of a world, and return their reports and, where they are to be kept, the files of their states.

    Raises RunFailedError, also when it takes longer than `timeout` seconds.
    """
    here = Path(mkdtemp(dir=folder))
    path = os.pathsep.join([str(BENCHMARKS), str(BENCHMARKS.parent), os.environ.get("PYTHONPATH", "")])
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": path, "PYTHONWARNINGS": "ignore"}
    saved, processes = [], []
    for rank in range(job.place.world):
        own = replace(job, place=replace(job.place, rank=rank), meeting=str(here / "meeting"))
        if keep:
            saved.append(str(here / f"state{rank}"))
            own = replace(own, save=saved[-1])
        command = [sys.executable, "-m", "loaders.rank", own.dumps()]
        output = (here / f"out{rank}").open("w")
        processes.append(subprocess.Popen(command, cwd=BENCHMARKS, env=env, stdout=output, stderr=subprocess.STDOUT))
    try:
        codes = [process.wait(timeout) for process in processes]
    except subprocess.TimeoutExpired:
        raise RunFailedError(f"{job.library}: no end after {timeout:.0f} s") from None
    finally:
        for process in processes:
            process.kill()
    said = [(here / f"out{rank}").read_text() for rank in range(job.place.world)]
    for code, text in zip(codes, said, strict=True):
        if code or LINE not in text:
            said_last = " | ".join(text.strip().splitlines()[-3:])
            raise RunFailedError(f"{job.library}: ended with code {code}; {said_last}")
    return [_report(text) for text in said], saved


def _report(text: str) -> Report:
    line = next(line for line in text.splitlines() if line.startswith(LINE))
    return Report(**json.loads(line.removeprefix(LINE)))


def load_state(path: str) -> Any:
    return pickle.loads(Path(path).read_bytes())


def store_state(state: Any, folder: Path) -> str:
    path = Path(mkdtemp(dir=folder)) / "state"
    path.write_bytes(pickle.dumps(state))
    return str(path)


def global_batches(reports: Sequence[Report]) -> list[list[str]]:
    """Return the ids of each global batch: the ranks' slices one after the other."""
    return [[name for ids in slices for name in ids] for slices in zip(*(each.ids for each in reports), strict=True)]


__all__ = ["Job", "Place", "Report", "RunFailedError", "global_batches", "load_state", "run", "store_state"]
