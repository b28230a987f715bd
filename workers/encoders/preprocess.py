"""Bringing an image of any size into the square that the tower sees."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
"""An sRGB image, `[height, width, 3]`, 0 to 255."""


def rim_colour(pixels: Pixels) -> NDArray[np.uint8]:
    """Return the median colour `[3]` of the outermost pixels of an image."""
    rim = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    median: NDArray[np.uint8] = np.median(rim, axis=0).round().astype(np.uint8)
    return median


def to_square(pixels: Pixels, side: int) -> Pixels:
    """Return an image as `[side, side, 3]`: padded to a square with the colour of its rim, then resampled.

    Shrinks by area averaging and grows by bilinear interpolation. Raises ValueError unless the image is an 8-bit RGB
    array with at least one pixel.
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8 or 0 in pixels.shape:
        raise ValueError(f"an image must be uint8 [height, width, 3], not {pixels.dtype} {list(pixels.shape)}")
    height, width = pixels.shape[:2]
    if height != width:
        longest = max(height, width)
        square = np.empty((longest, longest, 3), np.uint8)
        square[:] = rim_colour(pixels)
        top, left = (longest - height) // 2, (longest - width) // 2
        square[top : top + height, left : left + width] = pixels
        pixels = square
    if len(pixels) == side:
        return pixels
    shrinks = len(pixels) > side
    resampled = cv2.resize(pixels, (side, side), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(resampled, dtype=np.uint8)
