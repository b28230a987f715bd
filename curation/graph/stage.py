"""The contract of a stage, and the adapter that runs it as a Ray Data worker."""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa

from curation.graph.rows import SCHEMA, Row, is_open, reject, to_table
from curation.logs import LogSettings
from curation.metrics import BYTES, RETRIES, WorkerClock

_DECIMALS = 6
_log = logging.getLogger(__name__)


class Stage(ABC):
    """One step in the way of a candidate.

    A stage gets the rows that are still open and changes them in place. What goes wrong with one row is given to
    that row as a reason; a stage raises only where it cannot work at all.
    """

    name: str

    @abstractmethod
    def process(self, rows: list[Row]) -> None:
        """Work on rows that nothing has rejected so far."""


class StageWorker:
    """Runs a stage inside a Ray actor: built once from a factory, then called with one Arrow table after another.

    Rows that are rejected already pass by and are marked as skipped; the others are worked on in calls of about equal
    size, none above `batch`. Should the stage fail on a batch, it is given its
    rows one by one, and the row that makes it fail is rejected as `<stage>_failed:<error>`.
    """

    def __init__(
        self,
        factory: Callable[..., Stage],
        arguments: dict[str, Any],
        *,
        batch: int | None = None,
        gpus: float = 0.0,
        log: LogSettings | None = None,
    ) -> None:
        if log:
            log.apply()
        start = time.perf_counter()
        self._stage = factory(**arguments)
        self._batch = batch
        self._clock = WorkerClock(self._stage.name, gpus=gpus)
        _log.info("ready after %.1f s", time.perf_counter() - start, extra={"stage": self._stage.name})

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Return the batch with the stage's work done."""
        rows = batch.to_pylist()
        todo = [row for row in rows if is_open(row)]
        for row in rows:
            if not is_open(row):
                row["skipped"] = [*row["skipped"], self._stage.name]
        for part in even_parts(todo, self._batch):
            start = time.perf_counter()
            with self._clock.work(len(part)):
                self._run(part)
            self._note_seconds(part, time.perf_counter() - start)
        if self._stage.name == "load":
            BYTES.add(sum(len(row["target_image"] or b"") for row in todo), direction="read")
        return to_table(rows)

    def _note_seconds(self, rows: list[Row], seconds: float) -> None:
        """Share the time that a batch took out among its rows, where the manifest has a column for the stage."""
        column = f"{self._stage.name}_seconds"
        if column in SCHEMA.names:
            for row in rows:
                row[column] = round(seconds / len(rows), _DECIMALS)

    def _run(self, rows: list[Row]) -> None:
        before = [dict(row) for row in rows]
        try:
            self._stage.process(rows)
            return
        except Exception as error:
            failure = error
        for row, earlier in zip(rows, before, strict=True):
            row.clear()
            row.update(earlier)
        if len(rows) == 1:
            reject(rows[0], f"{self._stage.name}_failed:{type(failure).__name__}", str(failure))
            about = {"stage": self._stage.name, "candidates": [rows[0]["candidate_id"]]}
            _log.warning("failed on a row: %s: %s", type(failure).__name__, failure, extra=about)
            return
        RETRIES.add(len(rows), what="row")
        for row in rows:
            self._run([row])


def even_parts(rows: list[Row], most: int | None) -> Iterator[list[Row]]:
    """Yield rows in as few parts as `most` rows in each allow, none more than one row larger than another."""
    parts = -(-len(rows) // (most or len(rows) or 1))
    for part in range(parts):
        yield rows[part * len(rows) // parts : (part + 1) * len(rows) // parts]
