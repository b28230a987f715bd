"""How rows flow through the stages of a running graph, for whoever shows it: displays, heartbeats."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class StageFlow:
    """One stage at a moment."""

    rows: int
    """That left the stage since the job started."""
    waiting: int
    """That were made for it and that none of its calls has taken yet."""
    workers: int
    """That are at work or ready for it, their models loaded."""
    loading: int
    """That are being started, or started anew, and load their models."""


class Flow:
    """The newest state of every stage. A job may run the graph several times; rows are counted through."""

    def __init__(self) -> None:
        self._earlier: dict[str, int] = {}
        self._stages: dict[str, StageFlow] = {}

    def note(self, stages: Mapping[str, StageFlow]) -> None:
        """Take what a running graph says of its stages."""
        self._stages = {
            name: replace(stage, rows=stage.rows + self._earlier.get(name, 0)) for name, stage in stages.items()
        }

    def end(self) -> None:
        """Take note that the graph has ended: nothing waits, nobody works."""
        self._earlier = {name: stage.rows for name, stage in self._stages.items()}
        self._stages = {name: StageFlow(rows, 0, 0, 0) for name, rows in self._earlier.items()}

    def stages(self) -> dict[str, StageFlow]:
        """Return the stages in the order of the graph; empty before it has started."""
        return dict(self._stages)

    def loading(self) -> tuple[int, int] | None:
        """Return how many workers are ready, and how many there are, while some stage has none that is ready."""
        stages = self._stages.values()
        if not any(stage.loading and not stage.workers for stage in stages):
            return None
        ready = sum(stage.workers for stage in stages)
        return ready, ready + sum(stage.loading for stage in stages)


FLOW = Flow()
"""Of the job that this process drives."""
