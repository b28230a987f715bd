"""Policies decide by their rules alone, and say in one line what is wrong with a rule."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from curation.policy.decide import decide
from curation.policy.redecide import compare
from curation.policy.rules import Policy, Rule, read_policy
from manifests.records import SCORES

scores = st.fixed_dictionaries({column: st.one_of(st.none(), st.floats(-2, 2)) for column in SCORES})


def row(**values: Any) -> dict[str, Any]:
    return {**dict.fromkeys(SCORES, 0.0), "layout": "shifted", "reasons": [], **values}


POLICY = Policy.model_validate(
    {
        "rules": [
            {"column": "style_leak", "max": 0.55},
            {"column": "style_similarity", "min": 0.5},
            {"column": "layout_distance", "when": {"layout": "shifted"}, "min": 0.25},
        ]
    }
)


def test_every_broken_rule_becomes_a_reason() -> None:
    reasons = decide(row(style_leak=0.9, style_similarity=0.1, layout_distance=0.1), POLICY)
    assert reasons == ["style_leak>0.55", "style_similarity<0.5", "layout_distance<0.25"]


def test_a_rule_applies_only_when_its_condition_holds() -> None:
    good = {"style_leak": 0.1, "style_similarity": 0.9, "layout_distance": 0.1}
    assert decide(row(**good), POLICY) == ["layout_distance<0.25"]
    assert decide(row(**good, layout="preserved"), POLICY) == []


@settings(deadline=None)
@given(st.lists(scores, min_size=1, max_size=5), st.sampled_from(["preserved", "shifted"]))
def test_a_policy_as_sql_keeps_what_it_lets_in(values: list[dict[str, Any]], layout: str) -> None:
    rows = [row(**each, layout=layout, number=number) for number, each in enumerate(values)]
    schema = pa.schema(
        [*((column, pa.float64()) for column in SCORES), ("layout", pa.string()), ("number", pa.int64())]
    )
    triplets = pa.Table.from_pylist(rows, schema)
    kept = duckdb.connect().from_arrow(triplets).filter(POLICY.to_sql()).fetchall()
    assert [row[-1] for row in kept] == [each["number"] for each in rows if not decide(each, POLICY)]


@given(scores, st.booleans())
def test_deciding_again_with_the_same_policy_changes_nothing(values: dict[str, Any], failed: bool) -> None:
    first = decide(row(**values, reasons=["scorer_failed:style_leak"] if failed else []), POLICY)
    assert decide(row(**values, reasons=first), POLICY) == first


def test_no_policy_lifts_a_failure() -> None:
    kept = ["duplicate_of:abc", "ingest:truncated", "stylize_failed:no_style_reference"]
    assert decide(row(reasons=[*kept, "style_leak>0.1"]), Policy()) == kept


@pytest.mark.parametrize("column", ["truth", "accepted", "style_leek", "candidate_id"])
def test_a_rule_may_read_scores_only(column: str) -> None:
    with pytest.raises(ValidationError, match="no score column"):
        Rule.model_validate({"column": column, "max": 1})


@pytest.mark.parametrize(
    ("rule", "complaint"),
    [({"column": "style_leak"}, "no bound"), ({"column": "style_leak", "min": 1, "max": 0}, "never hold")],
)
def test_rules_that_make_no_sense_are_refused(rule: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        Rule.model_validate(rule)


def test_a_policy_survives_its_file(tmp_path: Path) -> None:
    path = tmp_path / "policy.yaml"
    path.write_text(POLICY.to_yaml())
    assert read_policy(path) == POLICY
    assert read_policy(path).digest == POLICY.digest


def test_a_missing_policy_file_names_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="calibrate"):
        read_policy(tmp_path / "none.yaml")


def test_comparing_policies_lists_what_changes() -> None:
    import pyarrow as pa

    rows = [
        row(candidate_id="a", accepted=True, subject="s", style="t", split="train", style_leak=0.5,
            style_similarity=1.0),
        row(candidate_id="b", accepted=False, subject="s", style="t", split="train", reasons=["style_leak>0.2"],
            style_leak=0.3, style_similarity=1.0),
    ]  # fmt: skip
    comparison = compare(
        pa.Table.from_pylist(rows), Policy.model_validate({"rules": [{"column": "style_leak", "max": 0.4}]})
    )
    assert (comparison.candidates, comparison.accepted_before, comparison.accepted_after) == (2, 1, 1)
    assert {c.candidate_id: c.accepted_after for c in comparison.changes} == {"a": False, "b": True}
