"""A print in two inks."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from pydantic import Field

from workers.treatments.base import Pixels, Treatment
from workers.treatments.texture import noise, to_pixels, tone

Colour = tuple[float, float, float]


class Duotone(Treatment):
    """A two-colour print: tones run from a dark ink over a bright one to the paper, speckled as risographs are."""

    name: ClassVar[str] = "duotone"
    dark: Colour = Field(default=(0.13, 0.1, 0.42), description="Ink of the shadows, red, green and blue, 0 to 1.")
    bright: Colour = Field(default=(0.98, 0.38, 0.4), description="Ink of the middle tones.")
    paper: Colour = Field(default=(1.0, 0.94, 0.82), description="The lights.")

    def paint(self, image: Pixels, *, seed: int) -> Pixels:
        """Return the print."""
        speckle = noise(image.shape, seed=seed, cells=100)
        value = np.clip(tone(image) + 0.045 * speckle, 0, 1)
        places = np.array([0.0, 0.12, 0.58, 0.92, 1.0])
        stops = np.array([self.dark, self.dark, self.bright, self.paper, self.paper])
        return to_pixels(np.stack([np.interp(value, places, stops[:, c]) for c in range(3)], axis=2))
