"""Stones set in mortar."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from workers.treatments.base import Pixels, Treatment
from workers.treatments.texture import cells_of, mean_colours, saturate, to_pixels


class Mosaic(Treatment):
    """A mosaic: irregular stones of one colour each, no two quite alike, with grey mortar between them."""

    name: ClassVar[str] = "mosaic"
    stone: float = Field(default=0.062, gt=0.01, le=0.3, description="Size of stones, of the shorter side.")
    mortar: float = Field(default=0.13, ge=0, le=0.5, description="Width of the gaps, in stones.")

    def paint(self, image: Pixels, *, seed: int) -> Pixels:
        """Return the mosaic."""
        cell = max(3.0, self.stone * min(image.shape[:2]))
        owner, border = cells_of(image.shape, cell=cell, seed=seed, jitter=0.75)
        colours = saturate(mean_colours(image, owner), 1.2)
        shades = np.random.default_rng(seed + 1).normal(1, 0.07, int(owner.max()) + 1).astype(np.float32)
        stones = np.clip(colours * shades[owner][..., None] * 0.97, 0, 1)
        gap = np.clip((self.mortar - border) / 0.06 + 0.5, 0, 1)[..., None]
        return to_pixels(stones * (1 - gap) + np.array([0.47, 0.45, 0.43]) * gap)
