"""Bringing images into the square that the nano tower sees, differentiably."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor


def to_square(images: Tensor, side: int) -> Tensor:
    """Return images `[B, C, side, side]` of float images `[B, C, h, w]`, padded to a square and then resampled.

    Shrinks by area averaging, fractions of pixels included, and grows by bilinear interpolation; what is padded has the
    median colour of the rim. It is what the encoders of `workers` do to 8-bit images, but for their rounding to
    8 bits, and gradients flow through it.
    """
    if images.shape[-2] != images.shape[-1]:
        images = _pad(images)
    if images.shape[-1] == side:
        return images
    weights = _resampling(images.shape[-1], side).to(images)
    return weights @ images @ weights.T


def _pad(images: Tensor) -> Tensor:
    height, width = images.shape[-2:]
    longest = max(height, width)
    rim = torch.cat([images[..., 0, :], images[..., -1, :], images[..., :, 0], images[..., :, -1]], dim=-1)
    colour = rim.quantile(0.5, dim=-1)[..., None, None]
    dim, missing = (-2, longest - height) if height < width else (-1, longest - width)
    strips = []
    for thickness in (missing // 2, missing - missing // 2):
        size = [*images.shape[:2], thickness, width] if dim == -2 else [*images.shape[:2], height, thickness]
        strips.append(colour.expand(size))
    return torch.cat([strips[0], images, strips[1]], dim=dim)


@lru_cache(maxsize=64)
def _resampling(before: int, after: int) -> Tensor:
    """Return `[after, before]`, float32: the share that each pixel before has in each pixel after, along one axis."""
    pixels = torch.arange(before, dtype=torch.float64)
    targets = torch.arange(after, dtype=torch.float64)[:, None]
    step = before / after
    if after < before:
        covered = torch.minimum((targets + 1) * step, pixels + 1) - torch.maximum(targets * step, pixels)
        shares = covered.clamp(min=0) / step
    else:
        centres = ((targets + 0.5) * step - 0.5).clamp(0, before - 1)
        shares = (1 - (centres - pixels).abs()).clamp(min=0)
    return shares.float()
