"""The contract of a stage, and the adapter that runs it as a Ray Data worker."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import pyarrow as pa

from curation.graph.rows import SCHEMA, Row, is_open, reject, to_table

_DECIMALS = 6


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
    """Runs a stage inside a Ray actor: built once from a factory, then called with one Arrow batch after another.

    Rows that are rejected already pass by and are marked as skipped. Should the stage fail on a batch, it is given its
    rows one by one, and the row that makes it fail is rejected as `<stage>_failed:<error>`.
    """

    def __init__(self, factory: Callable[..., Stage], arguments: dict[str, Any]) -> None:
        self._stage = factory(**arguments)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Return the batch with the stage's work done."""
        rows = batch.to_pylist()
        todo = [row for row in rows if is_open(row)]
        for row in rows:
            if not is_open(row):
                row["skipped"] = [*row["skipped"], self._stage.name]
        if todo:
            start = time.perf_counter()
            self._run(todo)
            self._note_seconds(todo, time.perf_counter() - start)
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
            return
        for row in rows:
            self._run([row])
