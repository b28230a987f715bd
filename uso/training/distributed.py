"""The processes of a run: who they are, and the few collectives that training needs."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

_BUCKET_BYTES = 64 << 20


@dataclass(frozen=True)
class World:
    """One process of a run: its rank, how many there are, and the device it computes on."""

    rank: int = 0
    size: int = 1
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def leads(self) -> bool:
        """Return whether this process is the one that writes and prints."""
        return self.rank == 0

    def sum(self, values: Sequence[float]) -> list[float]:
        """Return the sums of numbers over all ranks, in double precision."""
        if self.size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor)
        return [float(value) for value in tensor.tolist()]

    def any(self, flag: bool) -> bool:
        """Return whether the flag is set on any rank."""
        return self.sum([float(flag)])[0] > 0

    def most(self, value: int) -> int:
        """Return the largest value of any rank."""
        if self.size == 1:
            return value
        tensor = torch.tensor(value, device=self.device)
        dist.all_reduce(tensor, dist.ReduceOp.MAX)
        return int(tensor.item())

    def barrier(self) -> None:
        """Wait for all ranks."""
        if self.size > 1:
            dist.barrier()

    def sum_gradients(self, parameters: Iterable[nn.Parameter]) -> None:
        """Replace gradients by their sums over all ranks; a missing one counts as zero.

        They travel in flat buckets, in one order on every rank. Those of sharded parameters are left alone: they were
        summed when they were scattered.
        """
        if self.size == 1:
            return
        bucket: list[Tensor] = []
        for parameter in parameters:
            if isinstance(parameter, DTensor):
                continue
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            bucket.append(parameter.grad)
            if sum(grad.nbytes for grad in bucket) >= _BUCKET_BYTES:
                _sum_flat(bucket)
                bucket = []
        if bucket:
            _sum_flat(bucket)


def _sum_flat(gradients: Sequence[Tensor]) -> None:
    flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
    dist.all_reduce(flat)
    for gradient, part in zip(gradients, torch.split(flat, [gradient.numel() for gradient in gradients]), strict=True):
        gradient.copy_(part.view_as(gradient))


def join() -> World:
    """Join the processes that torchrun or Ray Train started, told by the environment; alone where there is none.

    On GPUs each process takes the one of its local rank and talks through NCCL, on CPUs through gloo.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    rank = int(os.environ.get("RANK", "0"))
    device = torch.device("cpu")
    if torch.cuda.is_available():
        device = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
        torch.cuda.set_device(device)
    if size > 1 and not dist.is_initialized():
        dist.init_process_group("nccl" if device.type == "cuda" else "gloo")
    return World(rank, size, device)


def leave(world: World) -> None:
    """Leave the group of processes."""
    if world.size > 1 and dist.is_initialized():
        dist.destroy_process_group()
