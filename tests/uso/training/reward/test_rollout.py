"""Algorithm 1: steps without gradient, one with it, and an image at the end."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from tests.uso.training.reward.conftest import SETTINGS
from uso.latents import LatentCodec
from uso.network import USOTransformer
from uso.sampler import euler_sample
from uso.training.reward.rollout import gradient_step, gradient_steps, predict_image, rollout_times
from uso.training.reward.settings import RewardSettings
from uso.velocity import Conditions, predict_velocity


@contextmanager
def kept_bytes() -> Iterator[list[int]]:
    """Count what autograd keeps for the backward pass, each storage once."""
    storages: dict[int, int] = {}
    total = [0]

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        total[0] = sum(storages.values())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        yield total


@pytest.mark.parametrize("k", range(4))
def test_only_the_last_step_has_a_graph(
    trained: USOTransformer, conditions: Conditions, noise: Tensor, codec: LatentCodec, k: int
) -> None:
    inputs: list[tuple[bool, bool]] = []

    def note(_module: object, _args: object, given: dict[str, Tensor]) -> None:
        inputs.append((torch.is_grad_enabled(), given["hidden_states"].requires_grad))

    handle = trained.register_forward_pre_hook(note, with_kwargs=True)
    images = predict_image(trained, conditions, noise, codec, SETTINGS, k)
    handle.remove()
    assert inputs == [(False, False)] * k + [(True, False)]
    assert images.shape == (2, 3, 32, 64)
    assert images.requires_grad


def test_what_is_kept_for_the_backward_pass_does_not_grow_with_the_rollout(
    trained: USOTransformer, conditions: Conditions, noise: Tensor, codec: LatentCodec
) -> None:
    kept = []
    for k in (0, 4):
        with kept_bytes() as total:
            predict_image(trained, conditions, noise, codec, SETTINGS, k)
        kept.append(total[0])
    assert kept[1] <= kept[0] * 1.01


def test_the_image_is_that_of_the_predicted_clean_latent(
    trained: USOTransformer, conditions: Conditions, noise: Tensor, codec: LatentCodec
) -> None:
    k, times = 3, rollout_times(SETTINGS, 2, 4)
    image = predict_image(trained, conditions, noise, codec, SETTINGS, k)
    # The step from t_k straight to 0 is the prediction of x_0.
    straight = torch.cat([times[: k + 1], torch.zeros(1)])
    clean = euler_sample(trained, noise, straight, conditions, guidance=1.0)
    torch.testing.assert_close(image.detach(), codec.decode(clean).detach(), atol=1e-5, rtol=0)
    assert not torch.allclose(image, codec.decode(noise), atol=1e-2)


def test_gradients_reach_lora_and_projector_and_nothing_else(
    trained: USOTransformer, conditions: Conditions, noise: Tensor, codec: LatentCodec
) -> None:
    predict_image(trained, conditions, noise, codec, SETTINGS, 2).square().mean().backward()
    for name, parameter in trained.named_parameters():
        ours = "lora" in name or name.startswith("feature_embedder.")
        assert (parameter.grad is not None) == ours, name
        assert not ours or parameter.grad.abs().sum() > 0, name
    assert all(parameter.grad is None for parameter in codec.model.parameters())


def test_the_gradient_is_that_of_one_step_from_a_fixed_latent(
    trained: USOTransformer, conditions: Conditions, noise: Tensor, codec: LatentCodec
) -> None:
    k, times = 2, rollout_times(SETTINGS, 2, 4)
    up = next(parameter for name, parameter in trained.named_parameters() if "lora_B" in name)
    (found,) = torch.autograd.grad(predict_image(trained, conditions, noise, codec, SETTINGS, k).sum(), up)

    reached = euler_sample(trained, noise, times[: k + 1], conditions, guidance=1.0)
    now, scale = times[k].expand(2), torch.ones(2)
    velocity = predict_velocity(trained, reached, now, scale, conditions)
    rows = velocity.reshape(2, 2, 4, 16, 2, 2).permute(0, 3, 1, 4, 2, 5).reshape(2, 16, 4, 8)
    codec.model.disable_gradient_checkpointing()
    (wanted,) = torch.autograd.grad(codec.decode(reached - times[k] * rows).sum(), up)
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=1e-3)


def test_the_decoder_is_computed_again_rather_than_kept(codec: LatentCodec) -> None:
    latents = torch.randn(1, 16, 16, 16, requires_grad=True)
    kept = []
    for checkpointed in (False, True):
        change = (
            codec.model.enable_gradient_checkpointing if checkpointed else codec.model.disable_gradient_checkpointing
        )
        change()
        with kept_bytes() as total:
            codec.decode(latents)
        kept.append(total[0])
    assert kept[1] < 0.6 * kept[0]


@pytest.mark.parametrize(("side", "size"), [(None, (32, 64)), (64, (32, 64)), (128, (32, 64)), (32, (16, 32))])
def test_images_may_be_decoded_smaller(
    trained: USOTransformer,
    conditions: Conditions,
    noise: Tensor,
    codec: LatentCodec,
    side: int | None,
    size: tuple[int, int],
) -> None:
    settings = SETTINGS.model_copy(update={"decode_side": side})
    image = predict_image(trained, conditions, noise, codec, settings, 1)
    assert image.shape[-2:] == size
    image.mean().backward()
    assert any(parameter.grad is not None for parameter in trained.parameters())


@given(
    seed=st.integers(0, 2**40),
    step=st.integers(0, 10**6),
    steps=st.integers(4, 60),
    bounds=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)),
    grid=st.tuples(st.integers(1, 64), st.integers(1, 64)),
    shift=st.sampled_from(["true", "upstream", "none"]),
)
def test_the_gradient_step_follows_from_seed_and_step_and_keeps_its_bounds(
    seed: int, step: int, steps: int, bounds: tuple[float, float], grid: tuple[int, int], shift: str
) -> None:
    settings = RewardSettings.model_validate(
        {"start": 0, "steps": steps, "t_start": max(bounds), "t_end": min(bounds), "shift": shift}
    )
    times = rollout_times(settings, *grid).tolist()
    if not any(settings.t_end <= time <= settings.t_start for time in times[:-1]):
        with pytest.raises(ValueError, match="widen the range"):
            gradient_step(settings, seed, step, *grid)
        return
    k = gradient_step(settings, seed, step, *grid)
    assert k == gradient_step(settings, seed, step, *grid)
    assert settings.t_end <= times[k] <= settings.t_start


def test_every_step_within_the_bounds_is_as_likely() -> None:
    settings = RewardSettings(start=0, steps=20, t_start=0.8, t_end=0.3)
    choices = gradient_steps(settings, 8, 8)
    drawn = [gradient_step(settings, 3, step, 8, 8) for step in range(2000)]
    counts = [drawn.count(choice) for choice in choices]
    assert sum(counts) == 2000
    assert min(counts) > 0.7 * 2000 / len(choices)
