"""Coloured chalk on a dark board."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np
from pydantic import Field

from workers.treatments.base import Pixels, Treatment
from workers.treatments.texture import edges, noise, saturate, to_pixels


class Chalkboard(Treatment):
    """A chalk drawing: pale outlines and rubbed, crumbling colour where the picture has some, on a green board."""

    name: ClassVar[str] = "chalkboard"
    board: tuple[float, float, float] = Field(default=(0.12, 0.2, 0.18), description="Colour of the board, 0 to 1.")
    coverage: float = Field(default=0.62, ge=0, le=1, description="How densely areas are rubbed in.")

    def paint(self, image: Pixels, *, seed: int) -> Pixels:
        """Return the drawing."""
        side = min(image.shape[:2])
        colour = image.astype(np.float32) / 255
        crumbs = noise(image.shape, seed=seed, cells=105)
        streaks = cv2.blur(noise(image.shape, seed=seed + 1, cells=90), (max(3, side // 16) | 1, 1))
        outline = edges(image, width=side / 60)
        inside = np.clip((1 - colour).max(axis=2) * 1.3, 0, 1)
        rubbed = inside * np.clip(self.coverage + 0.3 * crumbs + 0.5 * streaks, 0, 1)
        chalk = np.clip(saturate(colour, 1.1) * 0.68 + 0.3, 0, 1)
        lines = np.clip(outline * 1.25 * np.clip(0.85 + 0.35 * crumbs, 0.2, 1), 0, 1)[..., None]
        dusty = np.array(self.board) + 0.02 * noise(image.shape, seed=seed + 2, cells=5)[..., None]
        picture = dusty + (chalk - dusty) * (0.85 * rubbed)[..., None]
        return to_pixels(picture + (np.array([0.95, 0.95, 0.9]) - picture) * lines)
