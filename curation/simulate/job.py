"""A job as it is simulated: ingest, then the candidate graph, then its further attempts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from curation.simulate.engine import simulate
from curation.simulate.model import Machines, Overheads, StageModel, Work
from curation.simulate.outcome import Outcome, in_sequence
from curation.simulate.times import StageTime
from curation.spec.model import JobSpec


@dataclass(frozen=True)
class Attempts:
    """How many attempts a candidate has at most, and which share of those made is tried again."""

    most: int = 1
    again: float = 0.0


def row_bytes(spec: JobSpec) -> float:
    """Return about how many bytes a row has between stages: three images, lossless at 1.5 bytes a pixel."""
    return 3 * 1.5 * spec.image.size**2 * (0.2 if spec.image.format == "jpeg" else 1.0) + 4096


def ingest_work(spec: JobSpec, times: Mapping[str, StageTime], targets: int, machines: Machines, **more: float) -> Work:
    """Return the ingest of so many targets."""
    stage, time = spec.stages.ingest, times["ingest"]
    overheads = Overheads(**more)
    return Work((StageModel("ingest", stage, time.pace),), targets, stage.batch, 1000.0, machines, overheads)


def graph_work(
    spec: JobSpec,
    times: Mapping[str, StageTime],
    candidates: int,
    machines: Machines,
    *,
    spread: float = 0.0,
    seed: int = 0,
    **more: float,
) -> Work:
    """Return the candidate graph of so many candidates; `more` sets `Overheads`."""
    stages = tuple(StageModel(name, stage, times[name].pace, times[name].share) for name, stage in spec.pools().items())
    return Work(stages, candidates, spec.shards.candidates, row_bytes(spec), machines, Overheads(**more), spread, seed)


def simulate_attempts(
    work: Work, attempts: Attempts, progress: Callable[[int, int], None] = lambda _done, _total: None
) -> Outcome:
    """Return what comes of a graph and of its further attempts; each starts when all before it are committed."""
    rows = [work.rows]
    while len(rows) < attempts.most and round(rows[-1] * attempts.again) > 0:
        rows.append(round(rows[-1] * attempts.again))
    outcomes: list[Outcome] = []
    for count in rows:
        before = sum(outcome.work.rows for outcome in outcomes)
        outcomes.append(
            simulate(replace(work, rows=count), lambda done, _, before=before: progress(before + done, sum(rows)))  # type: ignore[misc]
        )
    return in_sequence(outcomes)
