"""Textures that treatments share: seeded noise and tone, alike at any resolution."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.treatments.base import Pixels

Field = NDArray[np.float32]
"""One value for each pixel, `[height, width]`."""


def noise(shape: tuple[int, ...], *, seed: int, cells: float) -> Field:
    """Return smooth noise, zero mean and unit deviation, with about `cells` bumps along the shorter side.

    It is drawn on a grid of that many cells and enlarged, so its grain has the same size at any resolution.
    """
    height, width = shape[:2]
    scale = cells / min(height, width)
    grid = (max(2, round(height * scale)), max(2, round(width * scale)))
    drawn = np.random.default_rng(seed).standard_normal(grid, dtype=np.float32)
    enlarged = cv2.resize(drawn, (width, height), interpolation=cv2.INTER_CUBIC)
    scaled: Field = ((enlarged - enlarged.mean()) / (enlarged.std() + 1e-6)).astype(np.float32)
    return scaled


def tone(image: Pixels) -> Field:
    """Return the luma of an image, 0 (black) to 1 (white) (ITU-R BT.601)."""
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return np.asarray(luma, dtype=np.float32) / np.float32(255)


def edges(image: Pixels, *, width: float) -> Field:
    """Return how strongly each pixel lies on an edge, 0 to 1; `width` is the width of lines in pixels."""
    soft = cv2.GaussianBlur(image, (0, 0), max(0.5, width / 2)).astype(np.float32) / 255
    across = cv2.Sobel(soft, cv2.CV_32F, 1, 0, ksize=3)
    down = cv2.Sobel(soft, cv2.CV_32F, 0, 1, ksize=3)
    strength = np.sqrt(across**2 + down**2).max(axis=2) * max(1.0, width)
    return np.asarray(np.clip(strength / 1.6, 0, 1), dtype=np.float32)


def saturate(image: NDArray[np.floating], amount: float) -> Field:
    """Return an image of floats `[height, width, 3]` with its distance from grey multiplied by `amount`."""
    grey = image.mean(axis=2, keepdims=True)
    return np.asarray(grey + (image - grey) * amount, dtype=np.float32)


def to_pixels(image: NDArray[np.floating]) -> Pixels:
    """Return an image of floats, 0 to 1, as 8-bit pixels."""
    return np.asarray(np.clip(image * 255 + 0.5, 0, 255), dtype=np.uint8)


def cells_of(shape: tuple[int, ...], *, cell: float, seed: int, jitter: float) -> tuple[NDArray[np.int32], Field]:
    """Return for each pixel the number of the nearest jittered grid point, and how near the next one is.

    A Voronoi diagram (Worley 1996): `cell` is the spacing in pixels, `jitter` 0 (a grid) to 1. The second value is the
    difference of the distances to the two nearest points, in cells: 0 on a border.
    """
    height, width = shape[:2]
    rows, columns = int(np.ceil(height / cell)) + 2, int(np.ceil(width / cell)) + 2
    offsets = np.random.default_rng(seed).uniform(-0.5, 0.5, (rows, columns, 2)).astype(np.float32) * jitter
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / np.float32(cell) + 1
    row, column = np.floor(y).astype(np.int32), np.floor(x).astype(np.int32)
    nearest = np.full((height, width), np.inf, np.float32)
    second = nearest.copy()
    owner = np.zeros((height, width), np.int32)
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            r, c = np.clip(row + down, 0, rows - 1), np.clip(column + right, 0, columns - 1)
            offset = offsets[r, c]
            distance = np.hypot(r + 0.5 + offset[..., 0] - y, c + 0.5 + offset[..., 1] - x)
            closer = distance < nearest
            second = np.where(closer, nearest, np.minimum(second, distance))
            owner = np.where(closer, r * columns + c, owner)
            nearest = np.where(closer, distance, nearest)
    return owner, np.asarray(second - nearest, dtype=np.float32)


def mean_colours(image: Pixels, owner: NDArray[np.int32]) -> Field:
    """Return each pixel's colour as the mean over all pixels with the same owner, `[height, width, 3]`, 0 to 1."""
    flat = owner.ravel()
    size = int(flat.max()) + 1
    count = np.maximum(np.bincount(flat, minlength=size), 1)
    means = [np.bincount(flat, image[..., c].ravel(), size) / count for c in range(3)]
    return np.asarray(np.stack(means, axis=1)[owner] / 255, dtype=np.float32)
