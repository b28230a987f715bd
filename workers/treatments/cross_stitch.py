"""Embroidery in crosses on linen."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np
from pydantic import Field

from workers.treatments.base import Pixels, Treatment
from workers.treatments.texture import noise, saturate, to_pixels


class CrossStitch(Treatment):
    """A cross-stitch: one cross of yarn for each square of the cloth, none where the picture is nearly white."""

    name: ClassVar[str] = "cross_stitch"
    stitches: int = Field(default=26, ge=6, le=128, description="Crosses along the shorter side.")

    def paint(self, image: Pixels, *, seed: int) -> Pixels:
        """Return the embroidery."""
        height, width = image.shape[:2]
        pitch = min(height, width) / self.stitches
        grid = (max(1, round(width / pitch)), max(1, round(height / pitch)))
        small = cv2.resize(image, grid, interpolation=cv2.INTER_AREA)
        yarn = cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST).astype(np.float32) / 255
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        u, v = x * (grid[0] / width) % 1 - 0.5, y * (grid[1] / height) % 1 - 0.5
        over, under = np.abs(u - v), np.abs(u + v)
        reach = 0.27
        thread = np.clip((reach - np.minimum(over, under)) * pitch * 0.7 + 0.5, 0, 1)
        roundness = 1 - 0.5 * np.clip(np.where(over < reach, over, under) / reach, 0, 1) ** 2
        roundness *= np.where(over < reach, 1.05, 0.86)
        fibre = noise(image.shape, seed=seed, cells=100)
        stitched = np.clip((0.93 - yarn.min(axis=2)) * 12, 0, 1) * thread
        colour = np.clip(saturate(yarn, 1.2), 0, 1) * (roundness + 0.05 * fibre)[..., None]
        weave = 0.5 + 0.25 * (np.cos(2 * np.pi * (u + 0.5) * 2) + np.cos(2 * np.pi * (v + 0.5) * 2))
        linen = np.array([0.93, 0.89, 0.8]) * (0.9 + 0.09 * weave + 0.02 * fibre)[..., None]
        return to_pixels(linen + (colour - linen) * stitched[..., None])
