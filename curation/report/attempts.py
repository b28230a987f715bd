"""What further attempts brought, and what an accepted triplet cost, by attempt and route."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from manifests.records import TIMES

FIRST = "first"
"""What the way of the first attempt is called."""


@dataclass(frozen=True)
class AttemptRow:
    """The candidates of one attempt by one route.

    `gpu_seconds` counts the stages that hold GPUs, each by the share that its workers hold; `cpu_seconds` the others.
    """

    attempt: int
    route: str
    tried: int
    accepted: int
    gpu_seconds: float
    cpu_seconds: float

    @property
    def gpu_seconds_each(self) -> float | None:
        """Return GPU-seconds for each accepted triplet; None without any."""
        return self.gpu_seconds / self.accepted if self.accepted else None

    @property
    def cpu_seconds_each(self) -> float | None:
        """Return CPU-seconds for each accepted triplet; None without any."""
        return self.cpu_seconds / self.accepted if self.accepted else None


def attempt_rows(rows: Sequence[Mapping[str, Any]], stages: Mapping[str, Mapping[str, Any]]) -> list[AttemptRow]:
    """Return a row for each attempt and route, in order; `stages` are those of the job's spec.

    Time was measured in the worker, for a batch at a time, and shared out among its rows.
    """
    groups: dict[tuple[int, str], list[Mapping[str, Any]]] = defaultdict(list)
    for row in rows:
        groups[row["attempt"] or 0, row["route"] or FIRST].append(row)
    return [_row(attempt, route, own, stages) for (attempt, route), own in sorted(groups.items())]


def _row(
    attempt: int, route: str, rows: Sequence[Mapping[str, Any]], stages: Mapping[str, Mapping[str, Any]]
) -> AttemptRow:
    gpu = cpu = 0.0
    for column in TIMES:
        spent = sum(row[column] or 0.0 for row in rows)
        stage = stages.get(column.removesuffix("_seconds"), {})
        gpus, cpus = float(stage.get("gpus") or 0), float(stage.get("cpus") or 0)
        if gpus:
            gpu += spent * gpus
        else:
            cpu += spent * cpus
    return AttemptRow(attempt, route, len(rows), sum(bool(row["accepted"]) for row in rows), gpu, cpu)
