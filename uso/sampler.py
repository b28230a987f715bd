"""Sampling: seeds, batches and Euler steps along the flow, one call for every task."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

from uso.images import SIDE_STEP, Size
from uso.network import USOTransformer
from uso.packing import pack, token_grid, unpack
from uso.position_ids import IdShift
from uso.schedule import ScheduleShift, flow_times
from uso.velocity import Conditions, predict_velocity


@dataclass(frozen=True)
class SampleSettings:
    """How images are drawn; the defaults are those of USO's public sampler.

    `steps` Euler steps, distilled `guidance`, schedule and position id shifts, and how many images are drawn at once.
    `cfg_scale` is that of classifier-free guidance (Ho & Salimans 2021): 1 leaves it out, more leads away from what a
    drawing is `against`, at twice the work. FLUX.1-dev has its guidance distilled and needs none; small networks do.
    """

    steps: int = 25
    guidance: float = 4.0
    schedule_shift: ScheduleShift = "upstream"
    id_shift: IdShift = "d"
    batch_size: int = 1
    cfg_scale: float = 1.0

    def __post_init__(self) -> None:
        if self.steps < 1 or self.batch_size < 1:
            raise ValueError(f"steps and batch size must be at least 1, not {self.steps} and {self.batch_size}")


@dataclass(frozen=True)
class Drawing:
    """One image to be drawn: its conditions (a single sample), its size in pixels, and its seed.

    `against` are the conditions that classifier-free guidance leads away from, such as those of the empty prompt.
    """

    conditions: Conditions
    size: Size
    seed: int
    against: Conditions | None = None


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
    against: Conditions | None = None,
    cfg_scale: float = 1.0,
) -> Tensor:
    """Return the latent `[B, C, h, w]` that Euler steps from `noise` `[B, C, h, w]` along falling `times` end in.

    Flow matching runs from noise at time 1 to the image at time 0: x += (t_next - t) * velocity. The latent is kept
    in float32 whatever the network's dtype, so that small steps are not rounded away. `on_step` is called after
    each step with the number of images. `guidance` is the distilled scale, passed to networks that take one. Given
    conditions to lead away from, velocities are those against them, and `cfg_scale` times the difference to them.
    """
    rows, columns = token_grid(noise)
    dtype = next(network.parameters()).dtype
    batch = noise.shape[0]
    scale = torch.full((batch,), guidance, device=noise.device) if network.shape.guidance else None
    tokens = pack(noise.float())
    for time, following in pairwise(times.tolist()):
        latent = unpack(tokens, rows, columns).to(dtype)
        now = torch.full((batch,), time, device=noise.device)
        velocity = predict_velocity(network, latent, now, scale, conditions, id_shift).float()
        if against is not None and cfg_scale != 1:
            away = predict_velocity(network, latent, now, scale, against, id_shift).float()
            velocity = away + cfg_scale * (velocity - away)
        tokens = tokens + (following - time) * velocity
        if on_step is not None:
            on_step(batch)
    return unpack(tokens, rows, columns)


def seeded_noise(seeds: Sequence[int], channels: int, rows: int, columns: int) -> Tensor:
    """Return noise `[len(seeds), channels, 2 rows, 2 columns]`, float32 on the CPU.

    Each image's noise depends on its own seed alone: not on the batch it is in, nor on the device.
    """
    size = (channels, 2 * rows, 2 * columns)
    return torch.stack([torch.randn(size, generator=torch.Generator().manual_seed(seed)) for seed in seeds])


def plan_batches(drawings: Sequence[Drawing], batch_size: int) -> list[list[int]]:
    """Return indices of drawings in batches of one target size and one layout of conditions, in order of appearance."""
    alike: dict[object, list[int]] = {}
    for index, drawing in enumerate(drawings):
        against = None if drawing.against is None else drawing.against.layout
        alike.setdefault((drawing.size, drawing.conditions.layout, against), []).append(index)
    return [group[start : start + batch_size] for group in alike.values() for start in range(0, len(group), batch_size)]


def draw_each(
    network: USOTransformer,
    drawings: Sequence[Drawing],
    settings: SampleSettings,
    on_step: Callable[[int], None] | None = None,
) -> Iterator[tuple[int, Tensor]]:
    """Yield (index, latent `[1, C, h, w]`) of each drawing as its batch is done, float32 on the CPU.

    Text only, subject, style, and style with subject are all this call: the conditions tell. An image depends on its
    conditions and its seed, not on its neighbours in a batch (up to the rounding of batched kernels). `on_step` is
    called after each step with the number of images that it moved.
    """
    first = next(network.parameters())
    for batch in plan_batches(drawings, settings.batch_size):
        width, height = drawings[batch[0]].size
        rows, columns = height // SIDE_STEP, width // SIDE_STEP
        conditions = Conditions.stack([drawings[index].conditions for index in batch]).to(first.device, first.dtype)
        away = [drawing.against for drawing in (drawings[index] for index in batch) if drawing.against is not None]
        noise = seeded_noise([drawings[index].seed for index in batch], network.shape.latent_channels, rows, columns)
        ended = euler_sample(
            network,
            noise.to(first.device),
            flow_times(settings.steps, rows, columns, settings.schedule_shift),
            conditions,
            guidance=settings.guidance,
            id_shift=settings.id_shift,
            on_step=on_step,
            against=Conditions.stack(away).to(first.device, first.dtype) if away else None,
            cfg_scale=settings.cfg_scale,
        )
        for index, latent in zip(batch, ended, strict=True):
            yield index, latent[None].cpu()


def draw_latents(network: USOTransformer, drawings: Sequence[Drawing], settings: SampleSettings) -> list[Tensor]:
    """Return the latent `[1, C, h, w]` of each drawing in their order; for many drawings take `draw_each`."""
    latents = dict(draw_each(network, drawings, settings))
    return [latents[index] for index in range(len(drawings))]
