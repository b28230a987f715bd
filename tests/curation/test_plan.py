"""The worst case of a plan: every attempt is taken, each at the price of the experts that its route names."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation.plan import make_plan
from tests.system.jobs import small_spec

pytestmark = pytest.mark.usefixtures("atelier")

EDITS = {"kind": "http", "base_url": "http://127.0.0.1:9/v1", "model": "m"}
EXPERTS = {
    "stylize": [{"kind": "retrieval"}],
    "destylize": [
        {**EDITS, "name": "cheap", "price": 0.01, "share": 0.5},
        {"kind": "retrieval", "share": 0.5},
        {**EDITS, "name": "good", "price": 0.2, "share": 0},
    ],
}


def test_the_worst_case_takes_every_attempt_by_its_route(tmp_path: Path) -> None:
    routes = [{"name": "again"}, {"name": "other", "destylize": "good"}]
    spec = small_spec(tmp_path, experts=EXPERTS, attempts={"most": 4, "routes": routes})
    plan = make_plan(spec, 12)
    assert plan.cost == pytest.approx(24 * 0.005)
    assert (plan.worst.attempts, plan.worst.candidates) == (4, 96)
    assert plan.worst.cost == pytest.approx(24 * (0.005 + 0.005 + 0.2 + 0.2))
    assert plan.worst.seconds > plan.seconds


def test_without_further_attempts_the_worst_case_is_the_plan(tmp_path: Path) -> None:
    plan = make_plan(small_spec(tmp_path), 12)
    assert (plan.worst.attempts, plan.worst.candidates) == (1, plan.candidates)
    assert (plan.worst.seconds, plan.worst.cost) == (pytest.approx(plan.seconds), plan.cost)
