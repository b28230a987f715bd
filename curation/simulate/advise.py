"""What to change before renting: workers dealt out by need, batches that hide the cost of a call, larger tasks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from curation.simulate.model import Places, StageModel, Work
from curation.simulate.outcome import Outcome

_CALL_SHARE = 0.1
_MOST_ROWS = 4096
_LATE_START = 0.25


@dataclass(frozen=True)
class Advice:
    """One thing to change, why, and the keys of the spec that do it, as `--set` takes them."""

    text: str
    settings: dict[str, str] = field(default_factory=dict)


def advise(outcome: Outcome) -> list[Advice]:
    """Return what would make the run shorter or cheaper, if anything."""
    return [
        *_batches(outcome.work),
        *_larger_tasks(outcome),
        *_workers(outcome.work),
        *_start(outcome),
    ]


def follow(work: Work, advice: Sequence[Advice]) -> Work:
    """Return the work with the settings of some advice."""
    stages = []
    for stage in work.stages:
        resources = stage.resources
        for one in advice:
            for key, value in one.settings.items():
                _, name, what = key.split(".")
                if name == stage.name and what == "workers":
                    low, high = (int(part) for part in value.strip("[]").split(","))
                    resources = resources.model_copy(update={"workers": (low, high)})
                elif name == stage.name and what == "batch":
                    resources = resources.model_copy(update={"batch": int(value)})
        stages.append(replace(stage, resources=resources))
    return replace(work, stages=tuple(stages))


def balanced(work: Work) -> dict[str, int]:
    """Return how many workers of each stage give the most rows a second on the work's machines.

    Always the slowest stage gets the next worker, until there is no room for one: the largest least rate. Stages
    without a GPU get no more workers altogether than there are cores, since their work is the cores'.
    """
    places = Places(work.machines)
    workers = {stage.name: 1 for stage in work.stages}
    for stage in work.stages:
        if places.take(stage.resources) is None:
            return {}
    cores = work.machines.nodes * work.machines.cpus
    while True:
        slowest = max(work.stages, key=lambda stage: row_seconds(work, stage) / workers[stage.name])
        on_cores = sum(workers[stage.name] for stage in work.stages if stage.resources.gpus == 0)
        if slowest.resources.gpus == 0 and on_cores >= cores:
            return workers
        if workers[slowest.name] * work.task_rows(slowest.name) >= work.rows:
            return workers
        if places.take(slowest.resources) is None:
            return workers
        workers[slowest.name] += 1


def row_seconds(work: Work, stage: StageModel) -> float:
    """Return a worker's time for one row that reaches the stage, calls included."""
    task = min(work.task_rows(stage.name), work.rows)
    return work.task_seconds(stage, task) / task


def _workers(work: Work) -> list[Advice]:
    best = balanced(work)
    now = {stage.name: stage.resources.workers[1] for stage in work.stages}
    if not best or _rate(work, best) < 1.05 * _rate(work, now):
        return []
    wanted = _rate(work, best)
    settings = {}
    for stage in work.stages:
        needed = min(best[stage.name], max(1, -int(-wanted * row_seconds(work, stage) * 1.02 // 1)))
        if (needed, needed) != stage.resources.workers:
            settings[f"stages.{stage.name}.workers"] = f"[{needed},{needed}]"
    text = f"deal out the workers by need: at most {wanted:.2f} rows/s instead of {_rate(work, now):.2f}"
    return [Advice(text, settings)]


def _rate(work: Work, workers: dict[str, int]) -> float:
    return min(workers[stage.name] / max(1e-9, row_seconds(work, stage)) for stage in work.stages)


def _batches(work: Work) -> list[Advice]:
    found = []
    for stage in work.stages[:-1]:
        batch, pace = stage.resources.batch, stage.pace
        share = pace.call / max(1e-9, pace.call + pace.row * batch)
        if share <= _CALL_SHARE:
            continue
        larger = batch
        while larger < _MOST_ROWS and pace.call > _CALL_SHARE * (pace.call + pace.row * larger):
            larger *= 2
        larger = min(larger, _MOST_ROWS)
        text = f"{share:.0%} of a call of {stage.name} does not depend on its rows: larger batches, if memory allows"
        found.append(Advice(text, {f"stages.{stage.name}.batch": str(larger)}))
    return found


def _larger_tasks(outcome: Outcome) -> list[Advice]:
    if outcome.bottleneck != "driver":
        return []
    first = outcome.work.stages[0]
    larger = min(_MOST_ROWS, outcome.work.shard, 4 * outcome.work.task_rows(first.name))
    text = "the driver hands out too many small tasks: more rows in each"
    return [Advice(text, {f"stages.{first.name}.batch": str(larger)})]


def _start(outcome: Outcome) -> list[Advice]:
    share = outcome.first_shard / outcome.seconds
    if share < _LATE_START:
        return []
    return [Advice(f"{share:.0%} of the time is over before the first shard: fewer machines, or more targets at once")]
