"""An answer is read strictly: a verdict is whole and in its range, or there is none."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.system.endpoint import GOOD
from workers.judges.parsing import UnparsableError, parse_verdict
from workers.judges.rubric import PARTS, Verdict, json_schema

TEXT = json.dumps(GOOD)


@pytest.mark.parametrize(
    "answer",
    [
        TEXT,
        f"  {TEXT}\n",
        f"```json\n{TEXT}\n```",
        f"The brush is broad; 3 or 4? 4.\nVERDICT:\n{TEXT}",
        f"I think {{aloud}} first.\nVERDICT:\n```json\n{TEXT}\n```",
        f"<think>{{'style_match': 0}} VERDICT: no</think>\n{TEXT}",
    ],
)
def test_reads_a_verdict_at_the_end_of_an_answer(answer: str) -> None:
    assert parse_verdict(answer) == Verdict.model_validate(GOOD)


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "style_match: 4",
        f"{TEXT}\nI hope that this helps.",
        f"Here it is: {TEXT}",
        f"VERDICT:\n{TEXT}\nVERDICT:\n{TEXT}",
        f"```json\n{TEXT}\n```\n```json\n{TEXT}\n```",
        f"[{TEXT}]",
        "[" * 100_000,
        TEXT[:-1],
        TEXT.replace('"style_match": 4', '"style_match": 4, "style_match": 0'),
        TEXT.replace('"style_match": 4', '"style_match": NaN'),
        TEXT.replace('"style_match": 4', '"final_score": 131184.67, "style_match": 4'),
    ],
)
def test_reads_no_verdict_out_of_anything_else(answer: str) -> None:
    with pytest.raises(UnparsableError):
        parse_verdict(answer)


@given(
    part=st.sampled_from(PARTS),
    value=st.one_of(
        st.integers().filter(lambda n: not 0 <= n <= 4),
        st.floats(allow_nan=False, allow_infinity=False),
        st.booleans(),
        st.text(),
        st.none(),
    ),
)
def test_a_part_is_an_integer_from_0_to_4_and_nothing_like_one(part: str, value: Any) -> None:
    with pytest.raises(UnparsableError, match=part):
        parse_verdict(json.dumps({**GOOD, part: value}))


@given(part=st.sampled_from(sorted(GOOD)))
def test_a_missing_part_is_never_made_up(part: str) -> None:
    with pytest.raises(UnparsableError, match=part):
        parse_verdict(json.dumps({name: value for name, value in GOOD.items() if name != part}))


@given(grades=st.fixed_dictionaries({part: st.integers(0, 4) for part in PARTS}), prose=st.text())
def test_grades_come_back_as_they_were_given(grades: dict[str, int], prose: str) -> None:
    answer = f"{prose.replace('VERDICT:', '').replace('```', '')}\nVERDICT:\n{json.dumps({**GOOD, **grades})}"
    verdict = parse_verdict(answer)
    assert {part: getattr(verdict, part) for part in PARTS} == grades


@given(st.text())
def test_any_text_is_a_verdict_or_unparsable(text: str) -> None:
    try:
        verdict = parse_verdict(text)
    except UnparsableError:
        return
    assert all(math.isfinite(getattr(verdict, part)) for part in PARTS)


def test_the_schema_asks_for_what_is_read() -> None:
    schema = json_schema()
    assert set(schema["required"]) == set(Verdict.model_fields) == set(schema["properties"])
