"""Canaries: made of a job's own images, with verdicts that nobody would dispute."""

from __future__ import annotations

import numpy as np
import pytest

from tests.system.endpoint import GOOD
from workers.judges.base import Answer
from workers.judges.canaries import FOREIGN, SAME, UNRELATED, canaries, is_hit
from workers.judges.rubric import Verdict

IMAGES = [np.full((8, 8, 3), shade, np.uint8) for shade in (0, 80, 160, 240)]


def verdict(**parts: object) -> Verdict:
    return Verdict.model_validate({**GOOD, **parts})


def test_kinds_take_turns_and_keys_differ() -> None:
    made = canaries(IMAGES, 9)
    assert [canary.kind for canary in made] == [SAME, UNRELATED, FOREIGN] * 3
    assert len({canary.request.key for canary in made}) == 9
    assert [canary.request.key for canary in canaries(IMAGES, 9)] == [canary.request.key for canary in made]


def test_each_kind_shows_what_its_name_says() -> None:
    same, unrelated, foreign = (canary.request for canary in canaries(IMAGES, 3))
    assert (same.target == same.style).all()
    assert (same.target == same.content).all()
    assert len({int(part[0, 0, 0]) for part in (unrelated.target, unrelated.style, unrelated.content)}) == 3
    assert (foreign.target == foreign.style).all()
    assert (foreign.target != foreign.content).any()


def test_too_few_images_make_only_what_can_be_known() -> None:
    assert {canary.kind for canary in canaries(IMAGES[:2], 4)} == {SAME}
    with pytest.raises(ValueError, match="at least one image"):
        canaries([], 1)


@pytest.mark.parametrize(
    ("kind", "parts", "right"),
    [
        (SAME, {"style_match": 4, "style_only": 0, "subject_match": 4, "layout": "preserved"}, True),
        (SAME, {"style_match": 4, "style_only": 0, "subject_match": 4, "layout": "shifted"}, False),
        (SAME, {"style_match": 3, "style_only": 0, "subject_match": 4, "layout": "preserved"}, False),
        (UNRELATED, {"style_only": 4, "subject_match": 0}, True),
        (UNRELATED, {"style_only": 4, "subject_match": 4}, False),
        (FOREIGN, {"style_match": 4, "subject_match": 1}, True),
    ],
)
def test_a_hit_is_right_in_every_part_beyond_dispute(kind: str, parts: dict[str, object], right: bool) -> None:
    assert is_hit(kind, verdict(**parts)) == right


def test_no_verdict_is_a_miss() -> None:
    assert not canaries(IMAGES, 1)[0].hit(Answer(None, failure="judge_unparsable"))
