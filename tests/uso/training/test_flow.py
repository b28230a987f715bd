"""Flow matching: the loss and gradients of the original network, times drawn as UNO draws them."""

from __future__ import annotations

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from uso.lora import lora_pairs, set_trainable
from uso.network import USOTransformer
from uso.reference_file import Reference
from uso.schedule import shift_mu, shift_time
from uso.training.draws import Draws
from uso.training.flow import draw_time, flow_losses


def test_loss_and_every_gradient_are_those_of_the_reference(reference: Reference, network: USOTransformer) -> None:
    tensors = reference.tensors
    set_trainable(network, lora=True, projector=True)
    losses = flow_losses(
        network, tensors["in/latent"], tensors["in/noise"], tensors["in/t"], reference.conditions(1, 1), guidance=1.0
    )
    loss = losses.mean()
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == pytest.approx(tensors["out/train/loss"].item(), abs=1e-6)
    computed = {f"{site.release_key}.down.weight": down.grad for site, down, _ in lora_pairs(network)}
    computed |= {f"{site.release_key}.up.weight": up.grad for site, _, up in lora_pairs(network)}
    computed |= {f"feature_embedder.{name}": p.grad for name, p in network.feature_embedder.named_parameters()}
    expected = {key: tensor for key, tensor in tensors.items() if key.startswith("out/train/grad/")}
    assert len(expected) > 20
    for key, tensor in expected.items():
        gradient = computed[re.sub("^out/train/grad/", "", key)]
        assert gradient is not None
        torch.testing.assert_close(gradient, tensor, atol=1e-6, rtol=1e-4)


@given(st.integers(0, 2**40), st.sampled_from(["schedule", "logit_normal"]), st.sampled_from(["true", "none"]))
def test_times_lie_on_the_flow(seed: int, times: str, shift: str) -> None:
    time = draw_time(Draws(seed, 0, "x"), times, 64, 64, shift)  # type: ignore[arg-type]
    assert 0 <= time <= 1


def test_times_are_the_points_of_the_shifted_schedule() -> None:
    drawn = {draw_time(Draws(0, number, "x"), "schedule", 64, 64, "true") for number in range(4000)}
    points = shift_time(torch.linspace(1, 0, 1000, dtype=torch.float64), shift_mu(64, 64, "true")).tolist()
    assert all(min(abs(time - point) for point in points) < 1e-6 for time in list(drawn)[:200])
    assert len(drawn) > 900


def test_draws_depend_on_pass_sample_and_purpose_alone() -> None:
    first = Draws(1, 2, "abc").normal("noise", (2, 3))
    assert torch.equal(first, Draws(1, 2, "abc").normal("noise", (2, 3)))
    for other in (Draws(2, 2, "abc"), Draws(1, 3, "abc"), Draws(1, 2, "abd")):
        assert not torch.equal(first, other.normal("noise", (2, 3)))
    assert not torch.equal(first, Draws(1, 2, "abc").normal("target", (2, 3)))


def test_dropouts_come_at_their_rates_and_never_take_both_references() -> None:
    lost = [Draws(0, 0, str(number)).dropped_reference(0.25) for number in range(8000)]
    assert lost.count("content") / 8000 == pytest.approx(0.125, abs=0.015)
    assert lost.count("style") / 8000 == pytest.approx(0.125, abs=0.015)
    silent = sum(Draws(0, 0, str(number)).drops_prompt(0.1) for number in range(8000))
    assert silent / 8000 == pytest.approx(0.1, abs=0.015)
