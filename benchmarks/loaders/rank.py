"""One process of a run: reads batches with one library, and prints what came and how long it took.

python -m loaders.rank '{"library": "ours", ...}'    (fields of Job; run from benchmarks/)
"""

from __future__ import annotations

import json
import os
import pickle
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path

import cv2
import numpy as np
import psutil
import torch
import torch.distributed

from loaders.contract import Place, library
from loaders.images import ROLES, Batch

LOADED = (cv2, np, torch)
"""What any trainer has imported before its loader starts."""


@dataclass(frozen=True)
class Job:
    """`steps` batches are read, the first one of which is not counted into the throughput.

    `states` are files with the states of an earlier run's ranks, `save` is where this rank's state goes. `meeting` is
    a file by which the ranks find each other.
    """

    library: str
    data: str
    store: str
    place: Place
    steps: int
    states: list[str] = field(default_factory=list)
    save: str | None = None
    meeting: str | None = None

    def dumps(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def loads(cls, text: str) -> Job:
        fields = json.loads(text)
        return cls(**{**fields, "place": Place(**fields["place"])})


@dataclass
class Report:
    """What a process tells. Seconds of wall clock and of processor time, of it and its worker processes.

    `start` is from the loader's import to its first batch, `wall` and `cpu` from there to the last one.
    """

    ids: list[list[str]]
    start: float
    wall: float
    cpu: float
    bytes: int

    @property
    def samples(self) -> int:
        """Return the number of samples after the first batch."""
        return sum(len(ids) for ids in self.ids[1:])


def main() -> None:
    job = Job.loads(sys.argv[1])
    torch.set_num_threads(1)
    join(job)
    began = time.perf_counter()
    stream = library(job.library).start(Path(job.data), Path(job.store), job.place)
    states = [pickle.loads(Path(path).read_bytes()) for path in job.states]
    batches = stream.batches(states)
    first = next(batches)
    start = time.perf_counter() - began
    report = read(batches, first, start, job.steps)
    if job.save:
        Path(job.save).write_bytes(pickle.dumps(stream.state()))
    print("REPORT " + json.dumps(asdict(report)), flush=True)


def join(job: Job) -> None:
    """Make this process one of its world, as torchrun would."""
    place = job.place
    names = {"RANK": place.rank, "LOCAL_RANK": place.rank, "WORLD_SIZE": place.world, "LOCAL_WORLD_SIZE": place.world}
    os.environ.update({name: str(value) for name, value in names.items()})
    if place.world > 1:
        torch.distributed.init_process_group(
            "gloo", init_method=f"file://{job.meeting}", rank=place.rank, world_size=place.world
        )


def read(batches: Iterator[Batch], first: Batch, start: float, steps: int) -> Report:
    """Read the rest of the batches; each is touched where it would be copied to the device."""
    ids, size = [first.ids], 0
    cpu, began = cpu_seconds(), time.perf_counter()
    for _ in range(steps - 1):
        batch = next(batches)
        ids.append(batch.ids)
        size += sum(batch.images[role].numel() for role in ROLES) + sum(map(len, batch.prompts))
    return Report(ids, start, time.perf_counter() - began, cpu_seconds() - cpu, size)


def cpu_seconds() -> float:
    """Return the processor time that this process and its living children have used."""
    me = psutil.Process()
    total = 0.0
    for process in [me, *me.children(recursive=True)]:
        try:
            times = process.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total += times.user + times.system
    return total


if __name__ == "__main__":
    main()
