"""The reward's gradient has a bound of its own and leaves the flow's as it was."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor

from uso.training.reward.gradients import RewardGradients


def model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)).double()


def gradient_of(losses: list[Tensor], network: nn.Module) -> list[Tensor]:
    return list(torch.autograd.grad(torch.stack(losses).sum(), list(network.parameters())))


def batches(count: int, seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, 4, generator=generator, dtype=torch.float64) for _ in range(count)]


@given(
    flow=st.integers(0, 3),
    reward=st.integers(1, 3),
    clip=st.none() | st.floats(1e-3, 10),
    weight=st.floats(0, 2),
    interleaved=st.booleans(),
)
def test_the_step_is_the_flows_gradient_plus_the_bounded_rewards(
    flow: int, reward: int, clip: float | None, weight: float, interleaved: bool
) -> None:
    network = model()
    own = RewardGradients(network.parameters())
    flows = [lambda x=x: network(x).square().mean() for x in batches(flow, 1)]
    rewards = [lambda x=x: 3 * network(x).sum() for x in batches(reward, 2)]
    flow_gradient = gradient_of([loss() for loss in flows], network) if flow else [torch.zeros(1)] * 4
    reward_gradient = gradient_of([loss() for loss in rewards], network)
    norm = float(torch.cat([g.flatten() for g in reward_gradient]).norm())

    def order() -> Iterator[tuple[bool, int]]:
        if interleaved:
            for number in range(max(flow, reward)):
                yield from [(False, number)] * (number < flow) + [(True, number)] * (number < reward)
        else:
            yield from [(False, number) for number in range(flow)] + [(True, number) for number in range(reward)]

    for is_reward, number in order():
        if is_reward:
            with own.collecting():
                rewards[number]().backward()
        else:
            flows[number]().backward()
    for parameter, expected in zip(network.parameters(), flow_gradient, strict=True):
        assert (parameter.grad is None) == (flow == 0)
        if parameter.grad is not None:
            torch.testing.assert_close(parameter.grad, expected)
    assert own.merge(clip=clip, weight=weight) == pytest.approx(norm)
    bound = 1.0 if clip is None else min(1.0, clip / norm)
    for parameter, base, extra in zip(network.parameters(), flow_gradient, reward_gradient, strict=True):
        torch.testing.assert_close(parameter.grad, base + weight * bound * extra, rtol=1e-4, atol=1e-6)
    assert own.merge(clip=clip, weight=weight) == 0.0


def test_what_sums_over_ranks_sees_the_rewards_gradient_alone() -> None:
    network = model()
    own = RewardGradients(network.parameters())
    network(batches(1, 1)[0]).square().mean().backward()
    flow = [parameter.grad.clone() for parameter in network.parameters()]
    with own.collecting():
        network(batches(1, 2)[0]).sum().backward()
        for parameter in network.parameters():
            parameter.grad.mul_(4)  # what an all-reduce over four like ranks does
    assert all(torch.equal(parameter.grad, kept) for parameter, kept in zip(network.parameters(), flow, strict=True))
    alone = gradient_of([network(batches(1, 2)[0]).sum()], network)
    norm = float(torch.cat([g.flatten() for g in alone]).norm())
    assert own.merge(clip=None, weight=1.0) == pytest.approx(4 * norm)


def test_a_gradient_that_is_not_finite_is_left_out_and_told() -> None:
    network = model()
    own = RewardGradients(network.parameters())
    network(batches(1, 1)[0]).square().mean().backward()
    before = [parameter.grad.clone() for parameter in network.parameters()]
    with own.collecting():
        (network(batches(1, 2)[0]).sum() * float("nan")).backward()
    norm = own.merge(clip=1.0, weight=1.0)
    assert norm != norm
    assert all(torch.equal(parameter.grad, kept) for parameter, kept in zip(network.parameters(), before, strict=True))


def test_gradients_change_back_when_the_rewards_backward_fails() -> None:
    network = model()
    own = RewardGradients(network.parameters())
    network(batches(1, 1)[0]).square().mean().backward()
    before = [parameter.grad for parameter in network.parameters()]
    with pytest.raises(RuntimeError, match="decoder"), own.collecting():
        raise RuntimeError("decoder")
    assert all(parameter.grad is kept for parameter, kept in zip(network.parameters(), before, strict=True))


@pytest.fixture
def alone(tmp_path: Path) -> Iterator[None]:
    """Join a process group of one."""
    dist.init_process_group("gloo", init_method=f"file://{tmp_path / 'store'}", rank=0, world_size=1)
    yield
    dist.destroy_process_group()


@pytest.mark.usefixtures("alone")
def test_sharded_parameters_are_alike() -> None:
    plain, sharded = model(), model()
    for part in (*sharded, sharded):
        fully_shard(part, mesh=init_device_mesh("cpu", (1,)))
    norms = []
    for network in (plain, sharded):
        own = RewardGradients(network.parameters())
        network(batches(1, 1)[0]).square().mean().backward()
        for x in batches(2, 2):
            with own.collecting():
                network(x).sum().backward()
        norms.append(own.merge(clip=0.5, weight=2.0))
    assert norms[0] == pytest.approx(norms[1])
    for one, other in zip(plain.parameters(), sharded.parameters(), strict=True):
        assert isinstance(other.grad, DTensor)
        torch.testing.assert_close(one.grad, other.grad.full_tensor())
