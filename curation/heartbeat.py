"""The sign of life of a running job: a small file in its store, written anew every few seconds by its driver."""

from __future__ import annotations

import contextlib
import logging
import os
import platform
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from curation.graph.flow import FLOW, StageFlow
from manifests.files import WritableFiles

FOLDER = "jobs/"
EVERY = 5.0
_LATE = 6
"""A job is taken for gone after so many beats that did not come: an object store may be slow, or away for a while."""
_FORGET = timedelta(days=7)
_WINDOW = 60.0
_log = logging.getLogger(__name__)


class StageBeat(BaseModel):
    """One stage in a beat."""

    model_config = ConfigDict(frozen=True)

    rows: int
    waiting: int
    workers: int
    loading: int
    per_second: float
    """Rows, over the last minute."""


class Beat(BaseModel):
    """What a job says of itself."""

    model_config = ConfigDict(frozen=True)

    job_id: str
    name: str
    host: str
    process: int
    submission: str | None
    """The job's id at Ray Jobs, where it came by that way."""
    started: datetime
    time: datetime
    every: float
    phase: str
    counts: dict[str, int]
    reasons: dict[str, int]
    stages: dict[str, StageBeat]

    def late(self, now: datetime) -> bool:
        """Tell whether the next beat is so long overdue that the job is likely gone."""
        return (now - self.time).total_seconds() > _LATE * self.every


Facts = Callable[[], dict[str, Any]]
"""Gives the parts `phase`, `counts` and `reasons` of a beat."""


class Heartbeat:
    """Writes beats of a job from a thread of its own, and removes them when the job ends by itself.

    A store that does not answer costs beats, never the job. `facts` is asked for phase, counts and reasons.
    """

    def __init__(self, files: WritableFiles, job_id: str, name: str, facts: Facts, *, every: float = EVERY) -> None:
        self._files = files
        self._known: dict[str, Any] = {
            "job_id": job_id,
            "name": name,
            "host": platform.node(),
            "process": os.getpid(),
            "submission": os.environ.get("TRIPTYCH_SUBMISSION"),
            "started": datetime.now(UTC),
            "every": every,
        }
        self._facts = facts
        self._pace = Pace()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._thread.join(timeout=EVERY)
        with contextlib.suppress(OSError):
            self._files.delete(_place(self._known["job_id"]))

    def _run(self) -> None:
        with contextlib.suppress(OSError):
            _forget_old(self._files)
        while not self._ended.is_set():
            try:
                self._files.put(_place(self._known["job_id"]), self.beat().model_dump_json(indent=1).encode())
            except OSError as error:
                _log.debug("no heartbeat: %s", error)
            self._ended.wait(self._known["every"])

    def beat(self) -> Beat:
        """Return the job as it is now."""
        stages = self._pace.stages(FLOW.stages(), time.monotonic())
        return Beat(**self._known, time=datetime.now(UTC), stages=stages, **self._facts())


class Pace:
    """Rows a second of every stage, over the last minute."""

    def __init__(self) -> None:
        self._seen: deque[tuple[float, Mapping[str, StageFlow]]] = deque()

    def stages(self, stages: Mapping[str, StageFlow], now: float) -> dict[str, StageBeat]:
        """Return the stages with their pace, from what was given before."""
        self._seen.append((now, stages))
        while now - self._seen[0][0] > _WINDOW:
            self._seen.popleft()
        return {
            name: StageBeat(**vars(stage), per_second=round(self._rate(name, now), 2)) for name, stage in stages.items()
        }

    def _rate(self, name: str, now: float) -> float:
        first, then = next((at, seen[name]) for at, seen in self._seen if name in seen)
        return (self._seen[-1][1][name].rows - then.rows) / (now - first) if now > first else 0.0


def beats(files: WritableFiles) -> Iterator[Beat]:
    """Yield the beats in a store: of jobs that run, and of those that were killed. Raises OSError."""
    for found in files.list(FOLDER):
        if found.name.endswith(".json"):
            with contextlib.suppress(FileNotFoundError, ValidationError):  # it has just ended, or is another release's
                yield Beat.model_validate_json(files.read(found.name))


def _forget_old(files: WritableFiles) -> None:
    before = datetime.now(UTC) - _FORGET
    for found in list(files.list(FOLDER)):
        if found.modified < before:
            files.delete(found.name)


def _place(job_id: str) -> str:
    return f"{FOLDER}{job_id}.json"
