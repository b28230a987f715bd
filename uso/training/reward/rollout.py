"""Algorithm 1 of USO: an image predicted from pure noise, with a gradient through its last step alone."""

from __future__ import annotations

import hashlib

import torch
from torch import Tensor
from torch.nn import functional

from uso.images import SIDE_STEP
from uso.latents import LatentCodec
from uso.network import USOTransformer
from uso.packing import token_grid, unpack
from uso.position_ids import IdShift
from uso.sampler import euler_sample
from uso.schedule import flow_times
from uso.training.reward.settings import RewardSettings
from uso.velocity import Conditions, predict_velocity

_LATENT_PIXEL = SIDE_STEP // 2


def rollout_times(settings: RewardSettings, rows: int, columns: int) -> Tensor:
    """Return the times of a whole rollout, falling from 1 to 0, for a target of rows x columns tokens."""
    return flow_times(settings.steps, rows, columns, settings.shift)


def gradient_steps(settings: RewardSettings, rows: int, columns: int) -> range:
    """Return which steps of a rollout may carry the gradient: those whose time lies within `t_end` to `t_start`.

    Raises ValueError when there is none for targets of this size, for the caller to find out before training.
    """
    times = rollout_times(settings, rows, columns).tolist()[:-1]
    within = [step for step, time in enumerate(times) if settings.t_end <= time <= settings.t_start]
    if not within:
        raise ValueError(
            f"reward: no step of the rollout lies between t_start {settings.t_start} and t_end {settings.t_end}; for "
            f"targets of {rows} x {columns} tokens its times are {', '.join(f'{time:.3f}' for time in times)}: "
            "widen the range, or take more steps"
        )
    return range(within[0], within[-1] + 1)


def gradient_step(settings: RewardSettings, seed: int, step: int, rows: int, columns: int) -> int:
    """Return which step of the rollout carries the gradient in a training step: each that may is as likely.

    It follows from seed, training step and target size alone, and is therefore the same on every rank.
    """
    choices = gradient_steps(settings, rows, columns)
    word = hashlib.sha256(f"{seed}/{step}/gradient step".encode()).digest()[:8]
    return choices[int.from_bytes(word, "big") * len(choices) >> 64]


def predict_image(
    network: USOTransformer,
    conditions: Conditions,
    noise: Tensor,
    codec: LatentCodec,
    settings: RewardSettings,
    k: int,
    id_shift: IdShift = "d",
) -> Tensor:
    """Return the images `[B, 3, h, w]`, in about -1..1, that the network would end in, seen from step `k` of a rollout.

    Euler steps lead from `noise` `[B, C, h, w]` at time 1 to the latent x_t at the k-th time t, without gradient. There
    the velocity v is predicted with gradient, x_0 = x_t - t v is taken in float32, and decoded. The decoder's blocks
    are computed again in the backward pass rather than kept; with `settings.decode_side` the latent is shrunk before.
    """
    rows, columns = token_grid(noise)
    times = rollout_times(settings, rows, columns)
    reached = euler_sample(network, noise, times[: k + 1], conditions, guidance=settings.guidance, id_shift=id_shift)
    batch, time = noise.shape[0], float(times[k])
    now = torch.full((batch,), time, device=noise.device)
    scale = torch.full_like(now, settings.guidance) if network.shape.guidance else None
    dtype = next(network.parameters()).dtype
    velocity = predict_velocity(network, reached.to(dtype), now, scale, conditions, id_shift)
    clean = reached - time * unpack(velocity.float(), rows, columns)
    if not codec.model.is_gradient_checkpointing:
        codec.model.enable_gradient_checkpointing()
    return codec.decode(_shrink(clean, settings.decode_side))


def _shrink(latents: Tensor, long_side: int | None) -> Tensor:
    """Return latents whose images have a long side of at most so many pixels; sides stay whole latent pixels."""
    height, width = latents.shape[-2:]
    longest = max(height, width) * _LATENT_PIXEL
    if long_side is None or longest <= long_side:
        return latents
    size = [max(1, round(side * long_side / longest)) for side in (height, width)]
    return functional.interpolate(latents, size=size, mode="bilinear", antialias=True)
