"""Thick paint, laid on with a brush."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np
from pydantic import Field

from workers.treatments.base import Pixels, Treatment
from workers.treatments.texture import noise, saturate, to_pixels


class Oil(Treatment):
    """An oil painting: flat strokes with hard borders (Kuwahara et al. 1976), lit from the side on a toned ground."""

    name: ClassVar[str] = "oil"
    brush: float = Field(default=0.035, gt=0.005, le=0.15, description="Width of strokes, of the shorter side.")
    relief: float = Field(default=0.5, ge=0, le=1, description="How much light plays on the paint.")

    def paint(self, image: Pixels, *, seed: int) -> Pixels:
        """Return the painting."""
        height, width = image.shape[:2]
        side = min(height, width)
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        stroke = np.float32(self.brush * side * 0.55)
        swirl = noise(image.shape, seed=seed, cells=11) * np.float32(np.pi)
        moved = cv2.remap(
            image,
            x + stroke * np.cos(swirl),
            y + stroke * np.sin(swirl),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        paint = _kuwahara(moved.astype(np.float32) / 255, max(1, round(self.brush * side)))
        bristle = noise((height, width), seed=seed + 1, cells=70)
        along = cv2.blur(bristle, (max(3, side // 14) | 1, 1))
        ground = np.array([0.93, 0.88, 0.77])
        colour = saturate(paint, 1.3) * (0.55 + 0.45 * ground)
        height_map = paint.mean(axis=2) * 0.8 + 0.16 * along
        light = cv2.Sobel(height_map.astype(np.float32), cv2.CV_32F, 1, 1, ksize=3)
        return to_pixels(np.clip(colour + (self.relief * light + 0.05 * along)[..., None], 0, 1))


def _kuwahara(image: np.ndarray, radius: int) -> np.ndarray:
    """Return each pixel as the mean of the most even of the four squares that it is a corner of."""
    size = (radius + 1, radius + 1)
    grey = image.mean(axis=2)
    best = np.full(grey.shape, np.inf, np.float32)
    result = np.empty_like(image)
    for anchor in ((0, 0), (radius, 0), (0, radius), (radius, radius)):
        mean = cv2.blur(grey, size, anchor=anchor)
        spread = cv2.blur(grey * grey, size, anchor=anchor) - mean * mean
        closer = spread < best
        result[closer] = cv2.blur(image, size, anchor=anchor)[closer]
        best = np.where(closer, spread, best)
    return result
