"""Images cut to sizes that the network takes: content references by upstream's rule, targets into buckets."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

SIDE_STEP = 16
"""Pixels that a side must be a multiple of: 8 a latent pixel, 2 latent pixels a token."""

CONTENT_LONG_SIDE = 512

Size = tuple[int, int]
"""Width and height in pixels."""


def content_sizes(width: int, height: int, long_side: int = CONTENT_LONG_SIDE) -> tuple[Size, Size]:
    """Return the size that a content reference is scaled to, and the size of its centre that is kept.

    The long side becomes `long_side`, the short one keeps the aspect ratio, rounded down; both are then floored to
    multiples of 16 (USO's `preprocess_ref`). Raises ValueError when a side would vanish: an image more than
    `long_side` / 16 times as long as it is wide.
    """
    if min(width, height) < 1 or long_side < SIDE_STEP:
        raise ValueError(f"an image of {width} x {height} px has no content size at long side {long_side}")
    longest = max(width, height)
    scaled = (long_side * width // longest, long_side * height // longest)
    kept = (floor_side(scaled[0]), floor_side(scaled[1]))
    if min(kept) < SIDE_STEP:
        raise ValueError(f"an image of {width} x {height} px is too narrow for a content reference of {long_side} px")
    return scaled, kept


def fit_content(image: Image.Image, long_side: int = CONTENT_LONG_SIDE) -> Image.Image:
    """Return the image as a content reference, RGB: LANCZOS to the long side, then the centre in multiples of 16."""
    scaled, kept = content_sizes(*image.size, long_side)
    return centre_crop(flatten(image).resize(scaled, Image.Resampling.LANCZOS), kept)


def aspect_buckets(side: int, longest: float = 2.0, step: int = SIDE_STEP) -> list[Size]:
    """Return target sizes of about side x side pixels, from `longest` : 1 to 1 : `longest`, narrow ones first.

    Widths rise in `step`s; each has the one height that comes nearest to the pixel count without going over it.
    Raises ValueError on a side below one step or an aspect below 1.
    """
    if side < step or longest < 1:
        raise ValueError(f"no buckets of {side} px with aspects up to {longest}")
    area = side * side
    buckets = []
    for width in range(step, int(side * math.sqrt(longest)) + step, step):
        height = area // width // step * step
        if height >= step and max(width / height, height / width) <= longest:
            buckets.append((width, height))
    return buckets


def nearest_bucket(size: Size, buckets: Sequence[Size]) -> Size:
    """Return the bucket whose aspect ratio is nearest to that of an image, measured as a ratio of ratios."""
    aspect = math.log(size[0] / size[1])
    return min(buckets, key=lambda bucket: abs(math.log(bucket[0] / bucket[1]) - aspect))


def fit_target(image: Image.Image, size: Size) -> Image.Image:
    """Return the image scaled by LANCZOS until it covers `size`, and its centre cut to it; RGB."""
    scale = max(size[0] / image.width, size[1] / image.height)
    scaled = (max(size[0], round(image.width * scale)), max(size[1], round(image.height * scale)))
    return centre_crop(flatten(image).resize(scaled, Image.Resampling.LANCZOS), size)


def centre_crop(image: Image.Image, size: Size) -> Image.Image:
    """Return the centre of an image; odd margins lose their extra pixel at the right and the bottom."""
    left, top = (image.width - size[0]) // 2, (image.height - size[1]) // 2
    return image.crop((left, top, left + size[0], top + size[1]))


def flatten(image: Image.Image) -> Image.Image:
    """Return the image as RGB, transparent parts laid on white."""
    if image.mode == "RGB":
        return image
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        paper = Image.new("RGBA", rgba.size, "white")
        return Image.alpha_composite(paper, rgba).convert("RGB")
    return image.convert("RGB")


def floor_side(side: int) -> int:
    """Return the side rounded down to a multiple of 16 pixels."""
    return side // SIDE_STEP * SIDE_STEP


def image_tensor(image: Image.Image) -> Tensor:
    """Return an image as float32 `[1, 3, height, width]` in -1..1."""
    pixels = np.asarray(flatten(image), dtype=np.float32)
    return torch.from_numpy(pixels / 127.5 - 1).permute(2, 0, 1)[None]


def tensor_images(tensor: Tensor) -> list[Image.Image]:
    """Return float images `[B, 3, height, width]` in -1..1 as 8-bit RGB; values outside are clipped."""
    levels = ((tensor.detach().float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    return [Image.fromarray(image) for image in levels.permute(0, 2, 3, 1).cpu().numpy()]
