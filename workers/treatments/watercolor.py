"""Transparent washes on rough paper."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np
from pydantic import Field

from workers.treatments.base import Pixels, Treatment
from workers.treatments.texture import noise, saturate, to_pixels


class Watercolor(Treatment):
    """A watercolor: colours bleed past their outlines, pool at the edges of a wash, and let the paper through.

    After the effects listed by Bousseau et al. 2006: wobbled outlines, edge darkening, turbulent flow, granulation.
    """

    name: ClassVar[str] = "watercolor"
    bleed: float = Field(default=0.015, gt=0, le=0.1, description="How far outlines wander, of the shorter side.")
    dilution: float = Field(default=0.3, ge=0, le=0.8, description="How much paper shows through.")

    def paint(self, image: Pixels, *, seed: int) -> Pixels:
        """Return the painting."""
        height, width = image.shape[:2]
        side = min(height, width)
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        reach = np.float32(self.bleed * side * 0.6)
        wander = [reach * noise(image.shape, seed=seed + step, cells=14) for step in (0, 1)]
        flowed = cv2.remap(image, x + wander[0], y + wander[1], cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        wash = cv2.medianBlur(flowed, 3 if side < 192 else 5)
        wash = cv2.GaussianBlur(wash, (0, 0), max(0.6, side / 160)).astype(np.float32) / 255
        spread = cv2.GaussianBlur(wash, (0, 0), max(1.0, side / 28))
        pooled = np.clip((spread - wash).mean(axis=2), 0, 1)[..., None]
        flow = noise(image.shape, seed=seed + 2, cells=6)[..., None]
        grain = noise(image.shape, seed=seed + 3, cells=96)[..., None]
        density = np.clip(1 - self.dilution + 0.16 * flow + 0.05 * grain, 0.25, 1.1)
        colour = 1 - (1 - saturate(wash, 1.25)) * density - 0.9 * pooled
        paper = np.array([0.99, 0.985, 0.965]) - 0.012 * grain
        return to_pixels(np.clip(colour, 0, 1) * paper)
