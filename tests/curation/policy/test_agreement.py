"""Agreement beyond chance: equal opinions have 1, independent ones about 0, and what was not seen does not count."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from curation.policy.agreement import agreements, kappa, opinions
from curation.policy.rules import Policy, Rule
from manifests.records import EMBEDDED, JUDGED


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=40))
def test_is_what_others_compute(pairs: list[tuple[bool, bool]]) -> None:
    first, second = (np.array(each) for each in zip(*pairs, strict=True))
    ours = kappa(first, second)
    if math.isnan(ours):
        assert len(set(first) | set(second)) == 1
    else:
        assert ours == pytest.approx(cohen_kappa_score(first, second))


def test_opinions_are_held_against_each_other_where_both_have_one() -> None:
    ours = {str(n): n % 2 == 0 for n in range(40)}
    theirs = {str(n): n % 2 == 0 for n in range(20, 60)}
    (found,) = agreements({"a": ours, "b": theirs, "c": {}})
    assert (found.first, found.second, found.candidates) == ("a", "b", 20)
    assert (found.observed, found.kappa, found.low, found.high) == (1.0, 1.0, 1.0, 1.0)


def test_strangers_to_each_other_agree_by_chance_alone() -> None:
    rng = np.random.default_rng(0)
    ours, theirs = (dict(enumerate(map(bool, rng.integers(0, 2, 400)))) for _ in range(2))
    (found,) = agreements({"a": {str(k): v for k, v in ours.items()}, "b": {str(k): v for k, v in theirs.items()}})
    assert found.low < 0 < found.high


def row(name: str, **values: Any) -> dict[str, Any]:
    known: dict[str, Any] = {**dict.fromkeys(EMBEDDED, 0.5), **dict.fromkeys(JUDGED), "judge_layout": None}
    return {**known, "candidate_id": name, "layout": "shifted", "truth": None, **values}


def test_scores_and_judge_are_asked_by_their_own_rules() -> None:
    judged = dict.fromkeys(JUDGED, 4)
    rows = [
        row("a", **judged),
        row("b", **{**judged, "judge_realism": 2}, style_leak=0.9),
        row("c", truth="good"),
        row("d", style_leak=None),
    ]
    policy = Policy(rules=(Rule(column="style_leak", max=0.8), Rule(column="judge.style_match", min=3)))
    found = opinions(rows, policy, {"ann": {"a": False}})
    assert found["scores"] == {"a": True, "b": False, "c": True}
    assert found["judge"] == {"a": True, "b": True}
    assert opinions(rows, Policy(), {})["judge"] == {"a": True, "b": False}
    assert found["truth"] == {"c": True}
    assert found["ann"] == {"a": False}


def test_the_interval_is_that_of_resampled_candidates() -> None:
    rng = np.random.default_rng(3)
    ours = rng.random(300) < 0.6
    theirs = np.where(rng.random(300) < 0.8, ours, ~ours)
    resampled = [kappa(ours[drawn], theirs[drawn]) for drawn in (rng.integers(0, 300, 300) for _ in range(2000))]
    names = [str(number) for number in range(300)]
    (found,) = agreements({"a": dict(zip(names, ours, strict=True)), "b": dict(zip(names, theirs, strict=True))})
    assert (found.low, found.high) == pytest.approx(np.quantile(resampled, [0.025, 0.975]), abs=0.02)


def test_what_is_not_a_number_is_null_in_json() -> None:
    (found,) = agreements({"a": {"x": True, "y": True}, "b": {"x": True, "y": True}})
    said = found.to_json()
    assert (said["observed"], said["kappa"], said["low"], said["high"]) == (1.0, None, None, None)
