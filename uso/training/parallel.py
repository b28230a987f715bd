"""Checkpointing, compilation and sharding, applied to a network from outside, in this order."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from uso.network import USOTransformer
from uso.training.distributed import World
from uso.training.recipe import ParallelSpec


def apply_parallelism(network: USOTransformer, spec: ParallelSpec, world: World) -> None:
    """Change how a network computes, in place: `checkpointing`, then `compile`, then `fsdp` (FSDP2).

    Blocks are compiled one by one, since they repeat: each kind is compiled once. With `fsdp` each block's weights are
    gathered when it runs and let go afterwards; optimizer state is sharded with them. Raises ValueError on `fsdp` in a
    single process.
    """
    if spec.checkpointing:
        network.enable_gradient_checkpointing()
    if spec.compile:
        network.compile_repeated_blocks()
    if spec.mode == "fsdp":
        if world.size == 1:
            raise ValueError("parallel.mode: fsdp shards over several processes; start them with torchrun or --ray")
        mesh = init_device_mesh(world.device.type, (world.size,))
        blocks: list[Any] = [*network.transformer_blocks, *network.single_transformer_blocks]
        for block in blocks:
            fully_shard(block, mesh=mesh)
        # A micro-batch that lost its style reference leaves the projector without a gradient, on one rank and not on
        # another. It is small: it stays whole on every rank, and its gradients are summed as replicated ones are.
        fully_shard(network, mesh=mesh, ignored_params=set(network.feature_embedder.parameters()))
        for module in network.modules():
            if isinstance(module, FSDPModule):
                # A rank's loss is its share of the global batch's mean already, so gradients are added, not averaged.
                module.set_gradient_divide_factor(1.0)
                module.set_force_sum_reduction_for_comms(True)  # gloo has no scaled sum


def whole(tensor: Tensor) -> Tensor:
    """Return a tensor with all its shards; every rank must ask for it."""
    full: Tensor = tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
    return full.detach()


def sharded_like(tensor: Tensor, model: Tensor) -> Tensor:
    """Return a whole tensor sharded as another one is, and on its device."""
    if isinstance(model, DTensor):
        return distribute_tensor(tensor.to(model.device), model.device_mesh, model.placements)
    return tensor.to(model.device)


def alike(tensors: Iterable[Tensor]) -> list[list[Tensor]]:
    """Return tensors in lists that one operation may take: shards apart from whole ones."""
    given = list(tensors)
    parts = [[t for t in given if isinstance(t, DTensor) is sharded] for sharded in (False, True)]
    return [part for part in parts if part]


def total_norm(tensors: Iterable[Tensor]) -> float:
    """Return the norm over all tensors together, shards of other ranks included."""
    return math.sqrt(sum(float(whole(torch.nn.utils.get_total_norm(part))) ** 2 for part in alike(tensors)))


@torch.no_grad()
def bound_norm(tensors: Sequence[Tensor], limit: float | None, weight: float = 1.0) -> float:
    """Scale tensors down until their norm is at most `limit`, then by `weight`; return what the norm was before."""
    norm = total_norm(tensors)
    factor = weight * (1.0 if limit is None else min(1.0, limit / (norm + 1e-6)))
    if factor != 1.0:
        for part in alike(tensors):
            torch._foreach_mul_(part, factor)
    return norm
