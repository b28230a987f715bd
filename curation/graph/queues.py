"""What Ray Data says of the stages while it runs them. Importing this needs Ray Data's execution hook."""

from __future__ import annotations

import time
from typing import Any

from ray.data._internal.execution.execution_callback import ExecutionCallback

from curation.graph.flow import FLOW, StageFlow
from curation.metrics import QUEUE

_PERIOD = 1.0


class QueueWatch(ExecutionCallback):  # type: ignore[misc]
    """Notes the flow of every stage about once a second while the graph runs, and sets `triptych_queue_rows`."""

    def __init__(self) -> None:
        self._due = 0.0

    def on_execution_step(self, executor: Any) -> None:
        """Set the gauges, if it is time."""
        now = time.monotonic()
        if now >= self._due:
            self._due = now + _PERIOD
            stages = flow(executor)
            FLOW.note(stages)
            for name, stage in stages.items():
                QUEUE.set(stage.waiting, stage=name)

    def after_execution_succeeds(self, executor: Any) -> None:
        """Leave no queue behind."""
        stages = flow(executor)
        FLOW.note(stages)
        FLOW.end()
        for name in stages:
            QUEUE.set(0, stage=name)

    def after_execution_fails(self, executor: Any, error: Exception) -> None:  # noqa: ARG002 - the hook has both
        """Leave nobody at work."""
        FLOW.end()


def flow(executor: Any) -> dict[str, StageFlow]:
    """Return the stages as a running graph has them, in its order."""
    names = executor._data_context.get_config("triptych_stages") or []
    operators = list(executor._topology)[-len(names) :] if names else []
    found = {}
    for name, operator in zip(names, operators, strict=False):
        made = sum(before.metrics.row_outputs_taken for before in operator.input_dependencies)
        workers = operator.get_actor_info()
        found[name] = StageFlow(
            rows=operator.metrics.rows_task_outputs_generated,
            waiting=max(0, made - operator.metrics.rows_inputs_of_submitted_tasks),
            workers=max(0, workers.running - workers.restarting),
            loading=workers.pending + workers.restarting,
        )
    return found
