"""Pictures on a canvas of another shape, and back: so that nothing moves where an endpoint draws in its own sizes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workers.experts.base import Pixels
from workers.experts.cutout import border_colour
from workers.experts.picture_size import to_size


@dataclass(frozen=True)
class Canvas:
    """A picture in the middle of a canvas, and where it lies there, as fractions of the canvas: left, top, right,
    bottom."""

    pixels: Pixels
    box: tuple[float, float, float, float]

    def cut(self, drawn: Pixels) -> Pixels:
        """Return the part of what was drawn on the canvas that lies where the picture lay."""
        height, width = drawn.shape[:2]
        left, right = round(self.box[0] * width), round(self.box[2] * width)
        top, bottom = round(self.box[1] * height), round(self.box[3] * height)
        return drawn[top : max(bottom, top + 1), left : max(right, left + 1)]


def on_canvas(pixels: Pixels, shape: tuple[int, int]) -> Canvas:
    """Return a picture amid a canvas of `shape` (width, height), as large as fits, its rim's colour around it."""
    width, height = shape
    factor = min(width / pixels.shape[1], height / pixels.shape[0])
    across, down = max(1, round(pixels.shape[1] * factor)), max(1, round(pixels.shape[0] * factor))
    left, top = (width - across) // 2, (height - down) // 2
    canvas = np.empty((height, width, 3), np.uint8)
    canvas[:] = border_colour(pixels)[0].round().astype(np.uint8)
    canvas[top : top + down, left : left + across] = to_size(pixels, across, down)
    return Canvas(canvas, (left / width, top / height, (left + across) / width, (top + down) / height))
