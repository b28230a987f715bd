"""Sizes of pictures on their way into a model and out of it."""

from __future__ import annotations

import numpy as np
from PIL import Image

from workers.experts.base import Pixels


def resized(pixels: Pixels, longer: int) -> Pixels:
    """Return an image whose longer side has so many pixels (LANCZOS)."""
    height, width = pixels.shape[:2]
    factor = longer / max(height, width)
    if factor == 1:
        return pixels
    return to_size(pixels, max(1, round(width * factor)), max(1, round(height * factor)))


def to_size(pixels: Pixels, width: int, height: int) -> Pixels:
    """Return an image of just this width and height (LANCZOS)."""
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))
