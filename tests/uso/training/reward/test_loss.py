"""The reward's loss: what it asks for, that following it raises the reward, and that a broken scorer is found out."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.uso.training.reward.conftest import SETTINGS
from tests.uso.training.reward.test_scorers import Cut
from uso.latents import LatentCodec
from uso.network import USOTransformer
from uso.training.reward.base import StyleScorer
from uso.training.reward.loss import penalty, reward_losses
from uso.training.reward.nano import NanoStyleScorer
from uso.training.reward.rollout import predict_image
from uso.training.reward.settings import RewardSettings
from uso.velocity import Conditions


@given(margin=st.floats(-0.9, 1), rewards=st.lists(st.floats(-1, 1), min_size=1, max_size=8))
def test_the_hinge_asks_for_no_more_beyond_its_margin(margin: float, rewards: list[float]) -> None:
    values = torch.tensor(rewards, dtype=torch.float64, requires_grad=True)
    losses = penalty(values, RewardSettings(start=0, margin=margin))
    losses.sum().backward()
    assert values.grad is not None
    for value, loss, slope in zip(rewards, losses.tolist(), values.grad.tolist(), strict=True):
        assert loss == pytest.approx(max(0.0, margin - value))
        if value >= margin:
            assert (loss, slope) == (0, 0)
        else:
            assert slope == -1
    plain = penalty(values, RewardSettings(start=0, margin=margin, loss="plain"))
    assert plain.tolist() == pytest.approx([-value for value in rewards])


def test_rewards_tell_how_near_the_style_came(
    trained: USOTransformer,
    conditions: Conditions,
    noise: Tensor,
    styles: list[Tensor],
    codec: LatentCodec,
    scorer: StyleScorer,
) -> None:
    losses, rewards = reward_losses(trained, conditions, noise, styles, scorer, codec, SETTINGS, 3)
    assert losses.shape == (2,)
    assert losses.requires_grad
    assert not rewards.requires_grad
    torch.testing.assert_close(losses.detach(), (1 - rewards).relu())
    with torch.no_grad():
        images = predict_image(trained, conditions, noise, codec, SETTINGS, 3).clamp(-1, 1)
    assert images.shape == (2, 3, 32, 64)
    for place in range(2):
        style = scorer.embed(images[place : place + 1]) @ scorer.embed(styles[place][None]).T
        torch.testing.assert_close(rewards[place], style[0, 0], atol=1e-5, rtol=0)


def test_following_the_gradient_raises_the_reward(
    trained: USOTransformer,
    conditions: Conditions,
    noise: Tensor,
    styles: list[Tensor],
    codec: LatentCodec,
    scorer: StyleScorer,
) -> None:
    optimizer = torch.optim.Adam([p for p in trained.parameters() if p.requires_grad], lr=5e-3)
    rewards = []
    for _ in range(30):
        losses, reached = reward_losses(trained, conditions, noise, styles, scorer, codec, SETTINGS, 2)
        rewards.append(float(reached.mean()))
        optimizer.zero_grad()
        losses.mean().backward()
        optimizer.step()
    assert 1 - rewards[-1] < 0.7 * (1 - rewards[0])


def test_a_satisfied_hinge_moves_nothing(
    trained: USOTransformer,
    conditions: Conditions,
    noise: Tensor,
    styles: list[Tensor],
    codec: LatentCodec,
    nano: NanoStyleScorer,
) -> None:
    settings = SETTINGS.model_copy(update={"margin": -0.99})
    losses, _ = reward_losses(trained, conditions, noise, styles, nano, codec, settings, 2)
    losses.sum().backward()
    assert all(not parameter.grad.any() for parameter in trained.parameters() if parameter.grad is not None)


def test_a_reward_without_gradient_is_an_error_rather_than_a_quiet_no_op(
    trained: USOTransformer,
    conditions: Conditions,
    noise: Tensor,
    styles: list[Tensor],
    codec: LatentCodec,
    nano: NanoStyleScorer,
) -> None:
    with pytest.raises(RuntimeError, match="no gradient to the network"):
        reward_losses(trained, conditions, noise, styles, Cut(nano), codec, SETTINGS, 2)
    with torch.no_grad():  # measuring without training is not an error
        losses, _ = reward_losses(trained, conditions, noise, styles, nano, codec, SETTINGS, 2)
    assert not losses.requires_grad


def test_samples_without_a_style_reference_are_refused(
    trained: USOTransformer,
    conditions: Conditions,
    noise: Tensor,
    styles: list[Tensor],
    codec: LatentCodec,
    nano: NanoStyleScorer,
) -> None:
    bare = Conditions(conditions.text, conditions.pooled, conditions.contents)
    with pytest.raises(ValueError, match="leave out those that lost theirs"):
        reward_losses(trained, bare, noise, styles, nano, codec, SETTINGS, 2)
    with pytest.raises(ValueError, match="1 style images for 2 samples"):
        reward_losses(trained, conditions, noise, styles[:1], nano, codec, SETTINGS, 2)
