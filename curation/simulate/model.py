"""What is simulated: stages with their pace and workers, and the machines that they run on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from curation.graph.streaming import task_rows
from curation.simulate.asleep import Pace
from curation.spec.stages import StageSpec


class DoesNotFitError(ValueError):
    """The workers that a spec asks for do not fit the machines; the message says which field to change."""


@dataclass(frozen=True)
class Machines:
    """The machines to rent: all alike."""

    nodes: int = 1
    gpus: float = 0.0
    cpus: float = 16.0
    object_store_gb: float = 8.0
    losses_per_hour: float = 0.0
    """How often one node is taken away (spot), in expectation; its workers start again on another."""
    replace_seconds: float = 120.0
    """Until a lost node is replaced."""


@dataclass(frozen=True)
class Overheads:
    """What Ray takes beside the models, in seconds: estimates from runs on two busy cores."""

    dispatch: float = 0.004
    """The driver's time for each task; it handles one after the other."""
    launch: float = 8.0
    """Until a worker's process is there, before its model is loaded."""
    begin: float = 5.0
    """Until Ray is connected and the graph planned."""


@dataclass(frozen=True)
class StageModel:
    """One stage as it is simulated."""

    name: str
    resources: StageSpec
    pace: Pace
    share: float = 1.0
    """Share of rows that it works on; the others were rejected before it and pass by."""


@dataclass(frozen=True)
class Work:
    """A graph to simulate: `rows` rows through `stages`, the last of which packs whole shards."""

    stages: tuple[StageModel, ...]
    rows: int
    shard: int
    row_bytes: float = 100_000.0
    machines: Machines = Machines()
    overheads: Overheads = Overheads()
    spread: float = 0.0
    """Relative standard deviation of the time of a task."""
    seed: int = 0
    _tasks: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Work out the tasks. Raises ValueError where there is nothing to simulate."""
        if self.rows < 1 or not self.stages:
            raise ValueError("a simulation needs at least one stage and one row")
        names = [stage.name for stage in self.stages]
        sizes = task_rows(self.shard, [stage.resources.batch for stage in self.stages[:-1]])
        object.__setattr__(self, "_tasks", dict(zip(names, [*sizes, self.shard], strict=True)))

    def task_rows(self, stage: str) -> int:
        """Return how many rows one task of a stage gets."""
        return self._tasks[stage]

    def task_seconds(self, stage: StageModel, rows: int) -> float:
        """Return how long a task of so many rows takes, in calls of about equal size."""
        worked = rows * stage.share
        calls = -(-worked // (self.shard if stage is self.stages[-1] else stage.resources.batch))
        return float(calls * stage.pace.call + worked * stage.pace.row)


class Places:
    """Which node has room for one more worker."""

    def __init__(self, machines: Machines) -> None:
        self._free = [[machines.cpus, machines.gpus] for _ in range(machines.nodes)]

    def take(self, need: StageSpec) -> int | None:
        """Return the emptiest node with room for a worker, and hold its place; None where there is no room."""
        fitting = [
            (-gpus, -cpus, node)
            for node, (cpus, gpus) in enumerate(self._free)
            if cpus + 1e-9 >= need.cpus and gpus + 1e-9 >= need.gpus
        ]
        if not fitting:
            return None
        node = min(fitting)[2]
        self._free[node][0] -= need.cpus
        self._free[node][1] -= need.gpus
        return node


def placed(work: Work) -> tuple[Places, list[list[int]]]:
    """Return the places left, and the nodes of each stage's fewest workers. Raises DoesNotFitError."""
    places, nodes = Places(work.machines), []
    for stage in work.stages:
        held = [places.take(stage.resources) for _ in range(stage.resources.workers[0])]
        found = [node for node in held if node is not None]
        if len(found) < len(held):
            machines = work.machines
            raise DoesNotFitError(
                f"stages.{stage.name}.workers: of {len(held)} workers only {len(found)} find a place beside those of "
                f"the other stages ({stage.resources.cpus:g} CPUs and {stage.resources.gpus:g} GPUs each) on "
                f"{machines.nodes} nodes of {machines.cpus:g} CPUs and {machines.gpus:g} GPUs; lower it, or rent more"
            )
        nodes.append(found)
    return places, nodes
