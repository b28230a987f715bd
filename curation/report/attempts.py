"""What further attempts brought, and what an accepted triplet cost, by attempt and route."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import yaml
from rich.table import Table

from manifests.records import TIMES
from manifests.store import Store

FIRST = "first"
"""What the way of the first attempt is called."""

COLUMNS: tuple[str, ...] = ("attempt", "route", "accepted", *TIMES)
"""What is read of `triplets`."""


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


def attempt_rows(triplets: pa.Table, stages: Mapping[str, Mapping[str, Any]]) -> list[AttemptRow]:
    """Return a row for each attempt and route, in order, of the rows of `triplets` with the columns COLUMNS.

    `stages` are those of the job's spec. Time was measured in the worker, for a batch at a time, and shared out among
    its rows.
    """
    keyed = (
        triplets.select(COLUMNS)
        .set_column(0, "attempt", pc.fill_null(triplets["attempt"], 0))
        .set_column(1, "route", pc.fill_null(triplets["route"].cast(pa.string()), FIRST))
    )
    sums: list[Any] = [("accepted", "sum"), ([], "count_all"), *((column, "sum") for column in TIMES)]
    groups = (
        keyed.group_by(["attempt", "route"]).aggregate(sums).sort_by([("attempt", "ascending"), ("route", "ascending")])
    )
    return [_row(group, stages) for group in groups.to_pylist()]


def _row(group: Mapping[str, Any], stages: Mapping[str, Mapping[str, Any]]) -> AttemptRow:
    gpu = cpu = 0.0
    for column in TIMES:
        spent = group[f"{column}_sum"] or 0.0
        stage = stages.get(column.removesuffix("_seconds"), {})
        gpus, cpus = float(stage.get("gpus") or 0), float(stage.get("cpus") or 0)
        if gpus:
            gpu += spent * gpus
        else:
            cpu += spent * cpus
    return AttemptRow(group["attempt"], group["route"], group["count_all"], group["accepted_sum"] or 0, gpu, cpu)


def attempts_of(store: Store) -> list[AttemptRow]:
    """Return a row for each attempt and route of a store, with the stages of its last job."""
    jobs = sorted(store.jobs.read(["spec", "started"]).to_pylist(), key=lambda job: str(job["started"]))
    stages = yaml.safe_load(jobs[-1]["spec"]).get("stages", {}) if jobs else {}
    return attempt_rows(store.triplets.read(COLUMNS), stages)


def attempts_table(rows: Sequence[AttemptRow]) -> Table:
    """Return all attempts as a table for a terminal."""
    heads = ("attempt", "route", "tried", "accepted", "GPU-seconds each", "CPU-seconds each")
    table = Table(*heads, box=None, padding=(0, 2), header_style="dim")
    for row in rows:
        each = ("" if value is None else f"{value:,.2f}" for value in (row.gpu_seconds_each, row.cpu_seconds_each))
        table.add_row(f"{row.attempt + 1}", row.route, f"{row.tried:,}", f"{row.accepted:,}", *each)
    return table
