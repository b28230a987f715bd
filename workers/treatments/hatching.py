"""Pen and ink, shaded by crossing lines."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from workers.treatments.base import Pixels, Treatment
from workers.treatments.texture import edges, noise, to_pixels, tone

_LAYERS = ((0.86, 45.0), (0.62, -45.0), (0.4, 0.0), (0.22, 90.0))


class Hatching(Treatment):
    """A pen drawing: the darker a tone, the more layers of parallel lines cross it; outlines in full ink."""

    name: ClassVar[str] = "hatching"
    spacing: float = Field(default=0.04, gt=0.005, le=0.2, description="Between lines, of the shorter side.")
    wobble: float = Field(default=0.2, ge=0, le=1, description="How unsteady the hand is, in spacings.")

    def paint(self, image: Pixels, *, seed: int) -> Pixels:
        """Return the drawing."""
        height, width = image.shape[:2]
        side = min(height, width)
        grey = tone(image)
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        unsteady = self.wobble * noise(image.shape, seed=seed, cells=9)
        spacing = max(2.5, self.spacing * side)
        ink = edges(image, width=side / 90)
        for below, angle in _LAYERS:
            turn = np.deg2rad(angle)
            phase = (x * np.cos(turn) + y * np.sin(turn)) / spacing + unsteady
            wave = 0.5 + 0.5 * np.cos(2 * np.pi * phase)
            depth = np.clip((below - grey) * 6, 0, 1)
            ink = np.maximum(ink, depth * np.clip((wave - 0.52) * 3.2, 0, 1))
        paper, black = np.array([0.99, 0.975, 0.93]), np.array([0.09, 0.08, 0.14])
        return to_pixels(paper + (black - paper) * ink[..., None])
