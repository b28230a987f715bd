"""What attempts cost: seconds by the GPUs that a stage holds, for each triplet that came of them."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from curation.report.attempts import COLUMNS, attempt_rows
from manifests.arrow_schema import arrow_schema
from manifests.records import TIMES, Triplet

STAGES = {"destylize": {"gpus": 0.5, "cpus": 1.0}, "score": {"gpus": 0.0, "cpus": 0.25}}


def row(accepted: bool, attempt: int | None = None, route: str | None = None, **seconds: float) -> dict[str, Any]:
    return {**dict.fromkeys(TIMES), "accepted": accepted, "attempt": attempt, "route": route, **seconds}


def table(rows: list[dict[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist(rows, pa.schema([arrow_schema(Triplet).field(name) for name in COLUMNS]))


def test_counts_by_attempt_and_route() -> None:
    rows = [
        row(True, destylize_seconds=4.0, score_seconds=2.0),
        row(False, destylize_seconds=4.0),
        row(True, 1, "again", destylize_seconds=8.0),
        row(False, 1, "again"),
        row(False, 2, "other", destylize_seconds=2.0),
    ]
    first, again, other = attempt_rows(table(rows), STAGES)
    assert (first.attempt, first.route, first.tried, first.accepted) == (0, "first", 2, 1)
    assert (first.gpu_seconds, first.cpu_seconds) == (4.0, 0.5)
    assert again.gpu_seconds_each == pytest.approx(4.0)
    assert (other.tried, other.gpu_seconds, other.gpu_seconds_each) == (1, 1.0, None)


def test_no_rows_no_attempts() -> None:
    assert attempt_rows(table([]), STAGES) == []
