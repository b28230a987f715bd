"""The rows that wait before each stage, as Ray Data counts them. Importing this needs Ray Data's execution hook."""

from __future__ import annotations

import time
from typing import Any

from ray.data._internal.execution.execution_callback import ExecutionCallback

from curation.metrics import QUEUE

_PERIOD = 1.0


class QueueWatch(ExecutionCallback):  # type: ignore[misc]
    """Sets `triptych_queue_rows` of every stage about once a second while the graph runs, and to zero at its end."""

    def __init__(self) -> None:
        self._due = 0.0

    def on_execution_step(self, executor: Any) -> None:
        """Set the gauges, if it is time."""
        now = time.monotonic()
        if now >= self._due:
            self._due = now + _PERIOD
            for stage, rows in waiting(executor).items():
                QUEUE.set(rows, stage=stage)

    def after_execution_succeeds(self, executor: Any) -> None:
        """Leave no queue behind."""
        for stage in waiting(executor):
            QUEUE.set(0, stage=stage)


def waiting(executor: Any) -> dict[str, int]:
    """Return the rows that were made for each stage and that none of its tasks has taken yet."""
    names = executor._data_context.get_config("triptych_stages") or []
    operators = list(executor._topology)[-len(names) :] if names else []
    found = {}
    for name, operator in zip(names, operators, strict=False):
        made = sum(before.metrics.row_outputs_taken for before in operator.input_dependencies)
        found[name] = max(0, made - operator.metrics.rows_inputs_of_submitted_tasks)
    return found
