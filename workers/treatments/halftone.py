"""A comic's print: dots of four inks on four screens."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np
from pydantic import Field

from workers.treatments.base import Pixels, Treatment
from workers.treatments.texture import to_pixels

_SCREENS = (15.0, 75.0, 0.0, 45.0)
_INKS = np.array([[0.0, 0.62, 0.88], [0.9, 0.08, 0.48], [1.0, 0.9, 0.05], [0.1, 0.09, 0.1]])


class Halftone(Treatment):
    """A four-colour halftone: each ink in dots whose size is its density, each screen at its own angle."""

    name: ClassVar[str] = "halftone"
    pitch: float = Field(default=0.042, gt=0.01, le=0.2, description="Between dots, of the shorter side.")

    def paint(self, image: Pixels, *, seed: int) -> Pixels:
        """Return the print; the seed shifts the screens."""
        height, width = image.shape[:2]
        pitch = max(3.5, self.pitch * min(height, width))
        soft = cv2.GaussianBlur(image, (0, 0), pitch / 4).astype(np.float32) / 255
        black = 1 - soft.max(axis=2)
        inks = [(1 - soft[..., c] - black) / np.maximum(1 - black, 1e-3) * (1 - 0.5 * black) for c in range(3)]
        y, x = np.mgrid[0:height, 0:width].astype(np.float32)
        shift = np.random.default_rng(seed).uniform(0, 1, (4, 2))
        page = np.full((height, width, 3), (0.985, 0.97, 0.93), np.float32)
        for number, density in enumerate([*inks, black]):
            turn = np.deg2rad(_SCREENS[number])
            u = (x * np.cos(turn) + y * np.sin(turn)) / pitch + shift[number, 0]
            v = (y * np.cos(turn) - x * np.sin(turn)) / pitch + shift[number, 1]
            screen = 0.5 - 0.25 * (np.cos(2 * np.pi * u) + np.cos(2 * np.pi * v))
            dot = np.clip((density - screen) * pitch * 0.55 + 0.5, 0, 1) * (density > 0.03)
            page *= 1 - dot[..., None] * (1 - _INKS[number])
        return to_pixels(page)
