"""Holding our network against reference vectors of the original one."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from uso.lora import lora_pairs, set_trainable
from uso.network import USOTransformer
from uso.packing import pack, token_grid
from uso.position_ids import unope_ids
from uso.reference_file import Reference, output_group, velocity_case
from uso.sampler import euler_sample
from uso.schedule import flow_times
from uso.velocity import predict_velocity

TOLERANCE = 1e-4
VELOCITY_TOLERANCE = 1e-5
SAMPLE_GUIDANCE = 4.0
TRAINING_GUIDANCE = 1.0


@dataclass(frozen=True)
class Difference:
    """The largest absolute difference between our output and the reference's, and the tolerance it is held to."""

    output: str
    largest: float
    tolerance: float

    @property
    def within(self) -> bool:
        """Return whether the difference is within tolerance; NaN never is."""
        return self.largest <= self.tolerance


def check_reference(reference: Reference, network: USOTransformer | None = None) -> Iterator[Difference]:
    """Compute every output of a reference file with our network, and yield how far each is from it.

    Without `network` it is built from the file; one that was saved and loaded, merged, or put into another dtype (the
    inputs are then, too), can be given in its place.
    What a network cannot have, such as the LoRA gradients of a merged one, is infinitely far.
    """
    ours = network if network is not None else reference.network()
    remembered: dict[str, Mapping[str, Tensor]] = {}

    def once(name: str, compute: Callable[[], Mapping[str, Tensor]]) -> Mapping[str, Tensor]:
        if name not in remembered:
            remembered[name] = compute()
        return remembered[name]

    for name in reference.outputs():
        group = output_group(name, reference.shape, reference.rank)
        if group == "ids":
            computed = once(group, lambda: _ids(reference))
        elif group == "sample":
            computed = once(group, lambda: _sample(ours, reference))
        elif group == "train":
            computed = once(group, lambda: _train(ours, reference))
        else:
            computed = {name: _velocity(ours, reference, name)}
        tolerance = VELOCITY_TOLERANCE if name.endswith("/velocity") else TOLERANCE
        yield Difference(name, _largest(computed.get(name), reference.tensors[name]), tolerance)


def _largest(ours: Tensor | None, theirs: Tensor) -> float:
    if ours is None or ours.shape != theirs.shape:
        return float("inf")
    return (ours.float() - theirs.float()).abs().max().item() if theirs.numel() else 0.0


@torch.no_grad()
def _velocity(network: USOTransformer, reference: Reference, name: str) -> Tensor:
    contents, styles, shift = velocity_case(name)
    tensors = reference.tensors
    conditions = reference.conditions(contents, styles).to("cpu", _dtype(network))
    latent = tensors["in/latent"].to(_dtype(network))
    return predict_velocity(network, latent, tensors["in/t"], tensors["in/guidance"], conditions, shift)


def _ids(reference: Reference) -> dict[str, Tensor]:
    grids = [token_grid(reference.tensors[f"in/content{index}"]) for index in range(_count(reference, "content"))]
    target = token_grid(reference.tensors["in/latent"])
    computed = {"out/ids/target": unope_ids(target)[0]}
    for shift in ("d", "h", "w", "o"):
        for index, ids in enumerate(unope_ids(target, grids, shift)[1]):
            computed[f"out/ids/pe_{shift}/content{index}"] = ids
    return computed


@torch.no_grad()
def _sample(network: USOTransformer, reference: Reference) -> dict[str, Tensor]:
    latent = reference.tensors["in/latent"]
    computed = {}
    for name in reference.outputs():
        match = re.fullmatch(r"out/sample(\d+)/(timesteps|packed_latent)", name)
        if match is None:
            continue
        times = flow_times(int(match[1]), *token_grid(latent), "upstream")
        if match[2] == "timesteps":
            computed[name] = times
        else:
            conditions = reference.conditions(1, 1).to("cpu", _dtype(network))
            ended = euler_sample(network, latent, times, conditions, guidance=SAMPLE_GUIDANCE)
            computed[name] = pack(ended)
    return computed


def _train(network: USOTransformer, reference: Reference) -> dict[str, Tensor]:
    tensors = reference.tensors
    noise, clean, time = tensors["in/noise"], tensors["in/latent"], tensors["in/t"]
    mixing = time[:, None, None, None]
    was_trained = {name: parameter.requires_grad for name, parameter in network.named_parameters()}
    set_trainable(network, lora=True, projector=True)
    network.zero_grad(set_to_none=True)
    guidance = torch.full_like(time, TRAINING_GUIDANCE)
    noisy = ((1 - mixing) * clean + mixing * noise).to(_dtype(network))
    conditions = reference.conditions(1, 1).to("cpu", _dtype(network))
    velocity = predict_velocity(network, noisy, time, guidance, conditions)
    loss = torch.nn.functional.mse_loss(velocity.float(), pack(noise - clean))
    loss.backward()  # type: ignore[no-untyped-call]
    computed = {"out/train/loss": loss.detach()}
    gradients = {f"{site.release_key}.down.weight": down.grad for site, down, _ in lora_pairs(network)}
    gradients |= {f"{site.release_key}.up.weight": up.grad for site, _, up in lora_pairs(network)}
    projector = network.feature_embedder.named_parameters()
    gradients |= {f"feature_embedder.{name}": parameter.grad for name, parameter in projector}
    computed |= {f"out/train/grad/{key}": grad for key, grad in gradients.items() if grad is not None}
    network.zero_grad(set_to_none=True)
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(was_trained[name])
    return computed


def _dtype(network: USOTransformer) -> torch.dtype:
    first: Tensor = next(network.parameters())
    return first.dtype


def _count(reference: Reference, kind: str) -> int:
    return len({match[1] for key in reference.tensors if (match := re.match(rf"in/{kind}(\d+)", key))})
