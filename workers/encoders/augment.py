"""What a batch goes through while encoders are fitted: moves, jitter, and styles made up on the spot."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional


def augment(images: Tensor, treated: Tensor, rng: np.random.Generator, *, strength: float = 1.0) -> Tensor:
    """Return a batch `[n, 3, side, side]` in 0 to 1, each image moved and jittered on its own.

    Some images get a layout move, as content references do: turned by up to 75 degrees, mirrored, scaled to 0.45 to
    1.0, placed elsewhere. With full `strength` (0 to 1) these are two out of three untreated ones, but only one out of
    four treated ones (`treated`, `[n]` bool), since a painting that is turned has other strokes. The others are
    mirrored, and shifted, turned and scaled a little. Then colours and sharpness vary mildly.
    """
    chance = strength * np.where(treated.numpy(), 0.25, 0.67)
    moved = move(images, *_draw_moves(chance, rng))
    return _sharpness(_colour(moved, rng), rng).clamp(0, 1)


def move(images: Tensor, angle: Tensor, mirrored: Tensor, scale: Tensor, shift: Tensor) -> Tensor:
    """Return each image turned (`angle`, radians), mirrored, scaled and shifted (`[n, 2]`, in half sides).

    What comes in from outside has the median colour of the image's own rim.
    """
    rim = torch.cat([images[:, :, 0], images[:, :, -1], images[:, :, :, 0], images[:, :, :, -1]], dim=2)
    ground = rim.median(dim=2).values[:, :, None, None]
    cosine, sine = torch.cos(angle) / scale, torch.sin(angle) / scale
    flip = torch.where(mirrored, -1.0, 1.0)
    linear = torch.stack([torch.stack([flip * cosine, flip * sine], 1), torch.stack([-sine, cosine], 1)], 1)
    offset = -(linear @ shift[:, :, None])
    grid = functional.affine_grid(torch.cat([linear, offset], 2), list(images.shape), align_corners=False)
    return functional.grid_sample(images - ground, grid, padding_mode="zeros", align_corners=False) + ground


def invent_styles(images: Tensor, slots: Tensor, share: float, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return a batch in which some groups of images were given a common made-up look, and which groups those are.

    `slots` `[n]` tells the group of each image. About `share` of the groups get one drawn look (mixed and inverted
    colours, tint, few levels, blur, relief, grain): each is a style that exists nowhere else, so the style head learns
    to see what images have in common rather than to recognise the styles that it is fitted on.
    """
    result = images.clone()
    count = int(slots.max()) + 1
    invented = torch.from_numpy(rng.random(count) < share)
    for slot in torch.nonzero(invented).flatten().tolist():
        rows = torch.nonzero(slots == slot).flatten()
        part = result[rows]
        for kind in rng.choice(len(_LOOKS), size=int(rng.integers(1, 3)), replace=False):
            part = _LOOKS[kind](part, rng)
        result[rows] = part.clamp(0, 1)
    return result, invented


def _draw_moves(chance: NDArray[np.float64], rng: np.random.Generator) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    n = len(chance)
    far = rng.random(n) < chance
    angle = np.where(far, np.radians(rng.uniform(-75, 75, n)), np.radians(rng.uniform(-3, 3, n)))
    scale = np.where(far, rng.uniform(0.45, 1.0, n), rng.uniform(0.9, 1.1, n))
    reach = np.where(far, np.maximum(0.0, 1.05 - scale), 0.06)[:, None]
    shift = rng.uniform(-1, 1, (n, 2)) * reach
    mirrored = rng.random(n) < 0.5
    return _tensor(angle), torch.from_numpy(mirrored), _tensor(scale), _tensor(shift)


def _tensor(values: NDArray[np.floating]) -> Tensor:
    return torch.from_numpy(np.asarray(values, dtype=np.float32))


def _colour(images: Tensor, rng: np.random.Generator) -> Tensor:
    def draw(low: float, high: float) -> Tensor:
        return _tensor(rng.uniform(low, high, (len(images), 1, 1, 1)))

    grey = images.mean(dim=1, keepdim=True)
    images = grey + (images - grey) * draw(0.8, 1.2)
    return (images - 0.5) * draw(0.88, 1.12) + 0.5 + draw(-0.06, 0.06)


def _sharpness(images: Tensor, rng: np.random.Generator) -> Tensor:
    amount = np.where(rng.random(len(images)) < 0.4, rng.uniform(-0.3, 0.6, len(images)), 0.0)
    return images + (_soft(images) - images) * _tensor(amount)[:, None, None, None]


def _soft(images: Tensor, reach: int = 1) -> Tensor:
    padded = functional.pad(images, (reach, reach, reach, reach), mode="replicate")
    return functional.avg_pool2d(padded, 2 * reach + 1, stride=1)


def _mixed_colours(images: Tensor, rng: np.random.Generator) -> Tensor:
    mixing = _tensor(rng.dirichlet((0.6, 0.6, 0.6), size=3))
    mixed = torch.einsum("oc,nchw->nohw", mixing, images)
    return 1 - mixed if rng.random() < 0.35 else mixed


def _tinted(images: Tensor, rng: np.random.Generator) -> Tensor:
    dark, light = _tensor(rng.uniform(0, 0.5, 3)), _tensor(rng.uniform(0.5, 1, 3))
    return dark[:, None, None] + images * (light - dark)[:, None, None]


def _few_levels(images: Tensor, rng: np.random.Generator) -> Tensor:
    steps = int(rng.integers(1, 4))
    return (images * steps).round() / steps


def _blurred(images: Tensor, rng: np.random.Generator) -> Tensor:
    return _soft(images, int(rng.integers(1, 4)))


def _relief(images: Tensor, rng: np.random.Generator) -> Tensor:
    return 0.5 + (images - _soft(images, int(rng.integers(1, 4)))) * float(rng.uniform(1.0, 2.5))


def _grain(images: Tensor, rng: np.random.Generator) -> Tensor:
    cell = int(rng.integers(1, 5))
    n, _, height, width = images.shape
    channels = 3 if rng.random() < 0.5 else 1
    coarse = rng.normal(0, rng.uniform(0.08, 0.25), (n, channels, -(-height // cell), -(-width // cell)))
    noise = _tensor(coarse).repeat_interleave(cell, 2).repeat_interleave(cell, 3)
    return images + noise[:, :, :height, :width]


_LOOKS = (_mixed_colours, _tinted, _few_levels, _blurred, _relief, _grain)
