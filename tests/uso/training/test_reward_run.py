"""Style reward learning inside a run: it starts at its step, keeps to its bound, resumes, and works over processes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from tests.uso.training.test_run import losses, same, weights
from uso.training.distributed import World
from uso.training.recipe import Recipe
from uso.training.run import newest_checkpoint, train

Maker = Callable[..., Recipe]

REWARD = "reward={start: 2, steps: 4, samples: 4, t_start: 0.9, t_end: 0.1, margin: 1.0}"


def values(out: Path, name: str) -> dict[int, float]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line[name] for line in lines if name in line}


def test_a_reward_begins_at_its_step_and_changes_what_is_trained(tiny_recipe: Maker, tmp_path: Path) -> None:
    train(tiny_recipe("steps=4"), tmp_path / "without", World())
    train(tiny_recipe("steps=4", REWARD), tmp_path / "with", World())
    assert sorted(values(tmp_path / "with", "train/reward")) == [3, 4]
    assert all(norm > 0 for norm in values(tmp_path / "with", "train/reward_gradient_norm").values())
    assert losses(tmp_path / "with")[3] == losses(tmp_path / "without")[3]
    assert same(
        tmp_path / "with/checkpoints/step-00000002/weights", tmp_path / "without/checkpoints/step-00000002/weights"
    )
    assert not same(
        tmp_path / "with/checkpoints/step-00000004/weights", tmp_path / "without/checkpoints/step-00000004/weights"
    )


def test_a_run_with_reward_and_watchdog_resumes_to_the_bit(tiny_recipe: Maker, tmp_path: Path) -> None:
    watch = "watch={every: 1, heldout: {every: 1, samples: 3, times: [0.5]}, grids: null}"
    changes = ("train=[projector, lora]", "data.reference_dropout=0.25", REWARD, watch, "steps=6")
    train(tiny_recipe(*changes), tmp_path / "whole", World())
    train(tiny_recipe(*changes, "steps=4"), tmp_path / "parts", World())
    train(tiny_recipe(*changes), tmp_path / "parts", World(), resume=newest_checkpoint(tmp_path / "parts"))
    for kind in ("weights", "optimizer.safetensors"):
        whole, parts = (tmp_path / name / "checkpoints/step-00000006" / kind for name in ("whole", "parts"))
        assert same(whole, parts) if whole.is_dir() else whole.read_bytes() == parts.read_bytes()
    assert values(tmp_path / "whole", "reward/style") == values(tmp_path / "parts", "reward/style")


def test_the_watchdog_stops_a_run_and_says_why(
    tiny_recipe: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from uso.training.style_reward import StyleReward

    measured = iter([(0.1, 0.9), (0.2, 0.9), (0.5, 0.4), (0.6, 0.3), (0.7, 0.2)])

    def hacked(_reward: StyleReward, _samples: object) -> dict[str, float]:
        style, content = next(measured)
        return {"reward/style": style, "reward/content": content}

    monkeypatch.setattr(StyleReward, "measure", hacked)
    watch = "watch={every: 1, heldout: {every: 1, samples: 2, times: [0.5]}, grids: null}"
    reward = (
        "reward={start: 1, steps: 4, samples: 2, t_start: 0.9, t_end: 0.1, watchdog: {window: 1, content_drop: 0.2}}"
    )
    outcome = train(tiny_recipe("steps=9", reward, watch), tmp_path / "run", World())
    assert outcome.ending == "stopped"
    assert outcome.step == 3
    assert "content similarity fell from 0.9000 to 0.4000" in outcome.reason
    assert newest_checkpoint(tmp_path / "run") is not None


def test_times_that_no_step_of_the_rollout_has_are_told_before_training(tiny_recipe: Maker, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="t_start"):
        train(tiny_recipe("reward={start: 0, steps: 2, t_start: 0.3, t_end: 0.29}"), tmp_path / "run", World())


def test_the_settings_of_the_full_size_recipes_train_at_a_small_size(tiny_recipe: Maker, tmp_path: Path) -> None:
    """Frozen weights in bfloat16, trained ones in float32, mixed precision, recomputed blocks, reward, pictures."""
    changes = (
        "train=[projector, lora]",
        "model.dtype=bfloat16",
        "parallel={autocast: bfloat16, checkpointing: true}",
        "data.reference_dropout=0.25",
        REWARD,
        "watch={every: 1, heldout: {every: 2, samples: 3}, grids: {every: 2, samples: 2, steps: 2}}",
    )
    train(tiny_recipe(*changes, "steps=4"), tmp_path / "whole", World())
    train(tiny_recipe(*changes, "steps=2"), tmp_path / "parts", World())
    train(tiny_recipe(*changes, "steps=4"), tmp_path / "parts", World(), resume=newest_checkpoint(tmp_path / "parts"))
    whole, parts = (tmp_path / name / "checkpoints/step-00000004" for name in ("whole", "parts"))
    assert same(whole / "weights", parts / "weights")
    tensors = weights(whole).values()
    assert {tensor.dtype for tensor in tensors if tensor.is_floating_point()} == {torch.float32}
    assert all(torch.isfinite(tensor).all() for tensor in tensors)
    assert all(norm > 0 for norm in values(tmp_path / "whole", "train/reward_gradient_norm").values())
