"""Fitting lowers the loss, repeats itself, goes on after an interruption, and keeps what is unseen unseen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from manifests.images import HELDOUT_FOLD, fold_of
from uso.nano.tower import NanoTower, TowerShape
from workers.encoders.data import Pool, Work
from workers.encoders.fit import fit
from workers.encoders.recipe import Recipe

RECIPE = Recipe(
    seed=3, steps=12, styles_per_batch=6, images_per_style=6, subjects_per_batch=12, warmup=2, left_out_family="other"
)


def assert_equal(one: NanoTower, other: NanoTower) -> None:
    for (name, first), second in zip(one.state_dict().items(), other.state_dict().values(), strict=True):
        assert torch.equal(first, second), name


def test_a_few_steps_lower_both_losses(pool: Pool, shape: TowerShape) -> None:
    losses: list[tuple[float, float]] = []
    fit(
        RECIPE.model_copy(update={"steps": 60, "learning_rate": 3e-3}),
        pool,
        shape=shape,
        report=lambda _, style, subject: losses.append((style, subject)),
    )
    early, late = np.mean(losses[:8], axis=0), np.mean(losses[-8:], axis=0)
    assert len(losses) == 60
    assert late[0] < early[0] - 0.2
    assert late[1] < early[1] - 0.1


def test_the_same_seed_gives_the_same_weights_and_another_seed_others(pool: Pool, shape: TowerShape) -> None:
    one, again = fit(RECIPE, pool, shape=shape), fit(RECIPE, pool, shape=shape)
    assert_equal(one, again)
    other = fit(RECIPE.model_copy(update={"seed": 4}), pool, shape=shape)
    assert any(not torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))


class _InterruptionError(Exception):
    pass


def test_a_fit_that_was_interrupted_ends_with_the_weights_of_one_that_was_not(
    pool: Pool, shape: TowerShape, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "fit.safetensors"

    def stop(done: int, _style: float, _subject: float) -> None:
        if done == 8:
            raise _InterruptionError

    with pytest.raises(_InterruptionError):
        fit(RECIPE, pool, shape=shape, checkpoint=checkpoint, checkpoint_every=5, report=stop)
    steps: list[int] = []
    resumed = fit(RECIPE, pool, shape=shape, checkpoint=checkpoint, report=lambda done, *_: steps.append(done))
    assert steps == [6, 7, 8, 9, 10, 11, 12]
    assert_equal(resumed, fit(RECIPE, pool, shape=shape))


def test_a_checkpoint_of_another_recipe_is_refused_with_its_name(pool: Pool, shape: TowerShape, tmp_path: Path) -> None:
    checkpoint = tmp_path / "fit.safetensors"
    fit(RECIPE, pool, shape=shape, checkpoint=checkpoint)
    with pytest.raises(ValueError, match=r"fit\.safetensors is of a fit with another recipe"):
        fit(RECIPE.model_copy(update={"seed": 9}), pool, shape=shape, checkpoint=checkpoint)


def test_nothing_that_is_to_stay_unseen_can_be_fitted_on(pool: Pool, shape: TowerShape) -> None:
    heldout = next(name for name in (f"held-{n}" for n in range(1000)) if fold_of(name) == HELDOUT_FOLD)
    strangers = [
        Work(heldout, "red", "none", "red/held"),
        Work(pool.works[0].subject, "other", "none", "other/shape"),
        Work(pool.works[0].subject, "red", "secret", "red/shape"),
    ]
    recipe = RECIPE.model_copy(update={"left_out_treatments": ("secret",)})
    for stranger in strangers:
        spoiled = Pool((*pool.works, stranger), np.concatenate([pool.images, pool.images[:1]]))
        with pytest.raises(ValueError, match="is to stay unseen"):
            fit(recipe, spoiled, shape=shape)


def test_a_pool_of_another_side_is_refused(pool: Pool) -> None:
    with pytest.raises(ValueError, match="side 32, the tower sees 64"):
        fit(RECIPE, pool)
