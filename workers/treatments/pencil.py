"""Graphite on grained paper."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np
from pydantic import Field

from workers.treatments.base import Pixels, Treatment
from workers.treatments.texture import edges, noise, to_pixels, tone


class Pencil(Treatment):
    """A pencil drawing: outlines and soft shading in graphite, broken by the grain of the paper.

    Shading by the dodge of the tone with its own blurred negative.
    """

    name: ClassVar[str] = "pencil"
    softness: float = Field(default=0.03, gt=0, le=0.2, description="Reach of the shading, of the shorter side.")
    shading: float = Field(default=0.5, ge=0, le=1, description="How dark flat tones are drawn.")

    def paint(self, image: Pixels, *, seed: int) -> Pixels:
        """Return the drawing."""
        side = min(image.shape[:2])
        grey = tone(image)
        negative = cv2.GaussianBlur(1 - grey, (0, 0), max(0.8, self.softness * side))
        lines = np.clip(grey / np.maximum(1 - negative, 0.08), 0, 1) * (1 - 0.85 * edges(image, width=side / 110))
        grain = noise(image.shape, seed=seed, cells=110)
        shade = 1 - self.shading * (1 - grey) * np.clip(0.75 + 0.4 * grain, 0, 1.3)
        value = np.clip(lines * shade + 0.015 * grain, 0, 1)[..., None]
        paper, graphite = np.array([0.965, 0.955, 0.93]), np.array([0.17, 0.17, 0.19])
        return to_pixels(graphite + (paper - graphite) * value)
