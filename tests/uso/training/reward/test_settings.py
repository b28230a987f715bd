"""What a recipe may say of the reward, and how it is told what it may not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from uso.training.reward.build import build_scorer
from uso.training.reward.places import rewarded_places
from uso.training.reward.settings import RewardSettings


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"t_start": 0.1, "t_end": 0.5}, "t_start, t_end"),
        ({"t_end": 0.0}, "t_end"),
        ({"steps": 0}, "steps"),
        ({"margin": 1.5}, "margin"),
        ({"clip": 0}, "clip"),
        ({"decode_side": 100}, "decode_side"),
        ({"scorer": {"kind": "csd"}}, "weights"),
        ({"scorer": {"kind": "vlm"}}, "scorer.kind"),
        ({"watchdog": {"action": "bark"}}, "watchdog.action"),
        ({"lambda": 1.0}, "lambda"),
    ],
)
def test_a_wrong_key_is_named(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(ValidationError) as error:
        RewardSettings.model_validate({"start": 10, **wrong})
    assert named in str(error.value)


def test_every_key_says_what_it_is() -> None:
    own = {name: field for name, field in RewardSettings.model_fields.items() if name not in ("scorer", "watchdog")}
    assert [name for name, field in own.items() if not field.description] == []


@given(start=st.integers(0, 50), every=st.integers(1, 7), step=st.integers(0, 200))
def test_rewards_begin_at_their_step_and_come_every_so_often(start: int, every: int, step: int) -> None:
    settings = RewardSettings(start=start, every=every)
    assert settings.applies(step) == (step in range(start, 300, every))


@given(batch=st.integers(1, 200), samples=st.integers(1, 200), world=st.integers(1, 8))
def test_ranks_share_the_rewarded_samples(batch: int, samples: int, world: int) -> None:
    places = rewarded_places(batch, samples)
    assert len(set(places)) == len(places) == min(batch, samples)
    assert set(places) <= set(range(batch))
    slices = [range(rank * batch // world, (rank + 1) * batch // world) for rank in range(world)]
    counts = [sum(place in part for place in places) for part in slices]
    assert max(counts) - min(counts) <= 2
    assert rewarded_places(batch, None) == tuple(range(batch))


def test_a_scorer_is_built_from_the_recipe_or_its_key_is_named(tmp_path: Path) -> None:
    assert len(build_scorer(RewardSettings(start=0)).digest) == 64
    for scorer in ({"kind": "csd", "weights": tmp_path / "gone.st"}, {"kind": "nano", "weights": tmp_path / "gone.st"}):
        with pytest.raises(ValueError, match=r"reward\.scorer.*gone\.st"):
            build_scorer(RewardSettings.model_validate({"start": 0, "scorer": scorer}))
