"""What the report says of judges: verdicts, failures, canaries and cost, each counted once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from curation.report.judges import judge_rows
from manifests.records import Judgement


def judgement(name: str, **values: Any) -> dict[str, Any]:
    base: dict[str, Any] = dict.fromkeys(Judgement.model_fields)
    base |= {"candidate_id": name, "judge_digest": "j", "judge": "m", "prompt_version": "v1", "answers": ["said"]}
    base |= {"requests": 1, "tokens_in": 10, "tokens_out": 2, "seconds": 0.5, "judged": datetime.now(UTC)}
    return base | values


GRADED = {"style_match": 4, "style_only": 3, "subject_match": 2, "realism": 0}


def test_counts_candidates_apart_from_canaries() -> None:
    rows = [
        judgement("a", **GRADED),
        judgement("b", failure="judge_unparsable", detail="no JSON", requests=2, answers=["um", "er"]),
        judgement("c", **GRADED, canary="same", hit=True),
        judgement("d", **GRADED, canary="same", hit=False),
        judgement("e", failure="judge_unparsable", canary="unrelated", hit=False),
    ]
    (row,) = judge_rows(rows)
    assert (row.asked, row.verdicts, row.failures) == (2, 1, [("judge_unparsable", 1)])
    assert row.canaries == {"same": (1, 2), "unrelated": (0, 1)}
    assert row.hit_rate == 1 / 3
    assert row.grades["style_match"] == [0, 0, 0, 0, 1]
    assert (row.requests, row.tokens_in) == (6, 50)
    assert [voice.words for voice in row.voices] == ["er", "said"]


def test_each_judge_has_a_row_and_no_judge_none() -> None:
    rows = [judgement("a", **GRADED), judgement("a", judge_digest="k", judge="n", **GRADED)]
    assert [(row.title, row.hit_rate) for row in judge_rows(rows)] == [("m", None), ("n", None)]
    assert judge_rows([]) == []
