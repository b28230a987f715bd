"""Sampling: Euler steps along the flow, from noise to a latent."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

import torch
from torch import Tensor

from uso.network import USOTransformer
from uso.packing import pack, token_grid, unpack
from uso.position_ids import IdShift
from uso.velocity import Conditions, predict_velocity


@torch.no_grad()
def euler_sample(
    network: USOTransformer,
    noise: Tensor,
    times: Tensor,
    conditions: Conditions,
    *,
    guidance: float = 4.0,
    id_shift: IdShift = "d",
    on_step: Callable[[int], None] | None = None,
) -> Tensor:
    """Return the latent `[B, C, h, w]` that Euler steps from `noise` `[B, C, h, w]` along falling `times` end in.

    Flow matching runs from noise at time 1 to the image at time 0: x += (t_next - t) * velocity. The latent is kept
    in float32 whatever the network's dtype, so that small steps are not rounded away. `on_step` is called with the
    number of steps done. `guidance` is the distilled scale, passed to networks that take one.
    """
    rows, columns = token_grid(noise)
    dtype = next(network.parameters()).dtype
    batch = noise.shape[0]
    scale = torch.full((batch,), guidance, device=noise.device) if network.shape.guidance else None
    tokens = pack(noise.float())
    for step, (time, following) in enumerate(pairwise(times.tolist()), start=1):
        latent = unpack(tokens, rows, columns).to(dtype)
        now = torch.full((batch,), time, device=noise.device)
        velocity = predict_velocity(network, latent, now, scale, conditions, id_shift)
        tokens = tokens + (following - time) * velocity.float()
        if on_step is not None:
            on_step(step)
    return unpack(tokens, rows, columns)


def seeded_noise(seeds: Sequence[int], channels: int, rows: int, columns: int) -> Tensor:
    """Return noise `[len(seeds), channels, 2 rows, 2 columns]`, float32 on the CPU.

    Each image's noise depends on its own seed alone: not on the batch it is in, nor on the device.
    """
    size = (channels, 2 * rows, 2 * columns)
    return torch.stack([torch.randn(size, generator=torch.Generator().manual_seed(seed)) for seed in seeds])
