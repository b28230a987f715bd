"""Pixel art."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np
from pydantic import Field

from workers.treatments.base import Pixels, Treatment


class Pixel(Treatment):
    """Pixel art: few large square pixels in few levels of each colour. Needs no randomness; the seed is ignored."""

    name: ClassVar[str] = "pixel"
    pixels: int = Field(default=22, ge=4, le=128, description="Large pixels along the shorter side.")
    levels: int = Field(default=5, ge=2, le=32, description="Levels of each of red, green and blue.")

    def paint(self, image: Pixels, *, seed: int) -> Pixels:
        """Return the picture."""
        del seed
        height, width = image.shape[:2]
        scale = self.pixels / min(height, width)
        grid = (max(1, round(width * scale)), max(1, round(height * scale)))
        small = cv2.resize(image, grid, interpolation=cv2.INTER_AREA).astype(np.float32)
        step = 255 / (self.levels - 1)
        flat = np.asarray(np.round(small / step) * step, dtype=np.uint8)
        return np.asarray(cv2.resize(flat, (width, height), interpolation=cv2.INTER_NEAREST), dtype=np.uint8)
