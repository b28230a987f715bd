"""What a simulated run came to."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import Any

from curation.simulate.model import Work
from curation.simulate.timeline import Timeline


@dataclass(frozen=True)
class StageOutcome:
    """One stage of a simulated run; seconds are summed over its workers."""

    name: str
    workers: int
    task_rows: int
    tasks: int
    repeated: int
    busy_seconds: float
    worker_seconds: float
    gpu: bool

    @property
    def busy(self) -> float:
        """Return the share of the workers' time in which they worked, from when each was ready."""
        return self.busy_seconds / self.worker_seconds if self.worker_seconds else 0.0


@dataclass(frozen=True)
class Outcome:
    """A simulated run: `seconds` from the start of the command to the last commit."""

    work: Work
    seconds: float
    first_shard: float
    stages: tuple[StageOutcome, ...]
    driver: float
    """Share of the time after the first shard in which the driver handed out tasks."""
    losses: int
    timeline: Timeline

    @property
    def bottleneck(self) -> str:
        """Return the stage that is busiest after warm-up, or `driver`."""
        busiest = max(self.stages, key=lambda stage: stage.busy)
        return "driver" if self.driver > max(0.95, busiest.busy) else busiest.name

    @property
    def rows_per_second(self) -> float:
        """Return the rows a second of the whole run."""
        return self.work.rows / self.seconds

    @property
    def gpu_hours(self) -> float:
        """Return the GPU hours that are paid for: all GPUs of all nodes for the whole run."""
        return self.work.machines.nodes * self.work.machines.gpus * self.seconds / 3600

    @property
    def gpu_busy(self) -> float:
        """Return the share of the GPU hours paid for in which a model worked, counting fractions of a GPU."""
        by_name = {stage.name: stage.resources.gpus for stage in self.work.stages}
        used = sum(stage.busy_seconds * by_name[stage.name] for stage in self.stages)
        return used / (self.gpu_hours * 3600) if self.gpu_hours else 0.0

    def cost(self, *, gpu_hour: float = 0.0, node_hour: float = 0.0) -> float:
        """Return the cost of the run at these prices of a GPU and of a node for an hour."""
        return self.gpu_hours * gpu_hour + self.work.machines.nodes * self.seconds / 3600 * node_hour

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as plain values."""
        return {
            "seconds": round(self.seconds, 1),
            "first_shard_seconds": round(self.first_shard, 1),
            "rows": self.work.rows,
            "rows_per_second": round(self.rows_per_second, 3),
            "bottleneck": self.bottleneck,
            "driver_busy": round(self.driver, 4),
            "gpu_hours": round(self.gpu_hours, 3),
            "gpu_busy": round(self.gpu_busy, 4),
            "losses": self.losses,
            "stages": [asdict(stage) | {"busy": round(stage.busy, 4)} for stage in self.stages],
        }


def in_sequence(outcomes: list[Outcome]) -> Outcome:
    """Return several runs, one after the other, as one: the timeline is that of the first."""
    first = outcomes[0]
    if len(outcomes) == 1:
        return first
    seconds = sum(outcome.seconds for outcome in outcomes)
    stages = tuple(
        replace(
            together[0],
            workers=max(stage.workers for stage in together),
            tasks=sum(stage.tasks for stage in together),
            repeated=sum(stage.repeated for stage in together),
            busy_seconds=sum(stage.busy_seconds for stage in together),
            worker_seconds=sum(stage.worker_seconds for stage in together),
        )
        for together in zip(*(outcome.stages for outcome in outcomes), strict=True)
    )
    return replace(
        first,
        work=replace(first.work, rows=sum(outcome.work.rows for outcome in outcomes)),
        seconds=seconds,
        stages=stages,
        driver=sum(outcome.driver * outcome.seconds for outcome in outcomes) / seconds,
        losses=sum(outcome.losses for outcome in outcomes),
    )
