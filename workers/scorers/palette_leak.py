"""Whether the style reference's palette soaked into the content reference."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.scorers.base import Pixels, Scorer, Trio

_SAMPLES = 1024
_DIRECTIONS = 24


class PaletteLeak(Scorer):
    """Palette distance of target and style reference, less that of content and style reference; low is good.

    Distances are sliced Wasserstein distances (Rabin et al. 2011) between the colours of two images in CIE Lab, in
    its units (about 0 to 100). Positive means that the content reference is nearer to the style image's palette than
    the target itself is.
    """

    column: ClassVar[str] = "palette_leak"

    def score(self, trio: Trio) -> float:
        """Return the difference of the two distances."""
        target, style, content = (_slices(view.pixels) for view in (trio.target, trio.style, trio.content))
        return float(np.abs(target - style).mean() - np.abs(content - style).mean())


def _slices(pixels: Pixels) -> NDArray[np.float32]:
    """Return the colours projected onto fixed directions, each sorted: `[directions, samples]`."""
    small = cv2.resize(pixels, (32, 32), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB).reshape(_SAMPLES, 3)
    return np.asarray(np.sort(lab @ _directions(), axis=0).T, dtype=np.float32)


def _directions() -> NDArray[np.float32]:
    drawn = np.random.default_rng(0).normal(size=(3, _DIRECTIONS))
    return np.asarray(drawn / np.linalg.norm(drawn, axis=0), dtype=np.float32)
