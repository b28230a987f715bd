"""The contract of a treatment."""

from __future__ import annotations

from abc import abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

Pixels = NDArray[np.uint8]
"""An sRGB image, `[height, width, 3]`, 0 to 255."""


class Treatment(BaseModel):
    """A known, seeded, deterministic painting of an image.

    A subclass names itself, declares its parameters as fields with ranges, and paints. Lengths are fractions of the
    image's shorter side, so that a treatment looks alike at any resolution.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: ClassVar[str]

    @abstractmethod
    def paint(self, image: Pixels, *, seed: int) -> Pixels:
        """Return a painting of `image`, of the same shape; equal arguments give equal pixels."""
