"""How far the subject moved between target and content reference."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.experts.cutout import border_colour
from workers.scorers.base import Pixels, Scorer, Trio

_SIDE = 64
_PLAIN = 14.0


class LayoutDistance(Scorer):
    """1 less the soft overlap of the places that the subject takes in target and content reference, 0 to 1.

    The label `layout` is verified with it: preserved needs it small, shifted needs it large. Where both backgrounds
    are plain, a place is what differs from the background; elsewhere it is where the picture has structure (blurred
    gradient energy), which a painting keeps where the photograph had it. Overlap is the sum of the smaller over the
    sum of the larger values, taken at the best alignment within two per cent of the side, so that a redrawing may
    breathe.
    """

    column: ClassVar[str] = "layout_distance"

    def score(self, trio: Trio) -> float:
        """Return the distance."""
        pair = (trio.target.pixels, trio.content.pixels)
        plain = all(border_colour(pixels)[1] < _PLAIN for pixels in pair)
        a, b = (_silhouette(pixels) if plain else _structure(pixels) for pixels in pair)
        return 1.0 - max(_overlap(a, np.roll(b, (dy, dx), (0, 1))) for dy in (-1, 0, 1) for dx in (-1, 0, 1))


def _overlap(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    larger = float(np.maximum(a, b).sum())
    return float(np.minimum(a, b).sum()) / larger if larger > 0 else 1.0


def _silhouette(pixels: Pixels) -> NDArray[np.float32]:
    """Return where a picture differs from its plain background, holes filled: `[64, 64]`, 0 to 1."""
    colour, deviation = border_colour(pixels)
    small = cv2.resize(pixels, (_SIDE * 2, _SIDE * 2), interpolation=cv2.INTER_AREA).astype(np.float32)
    apart = cv2.GaussianBlur(np.linalg.norm(small - colour, axis=2).astype(np.float32), (0, 0), 1.2)
    inside = (apart > 14 + 2.5 * deviation).astype(np.uint8)
    closed = cv2.morphologyEx(inside, cv2.MORPH_CLOSE, np.ones((7, 7), np.uint8))
    padded = np.pad(closed, 1)
    cv2.floodFill(padded, np.zeros((padded.shape[0] + 2, padded.shape[1] + 2), np.uint8), (0, 0), 2)
    filled = (padded[1:-1, 1:-1] != 2).astype(np.float32)
    return np.asarray(cv2.resize(filled, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), dtype=np.float32)


def _structure(pixels: Pixels) -> NDArray[np.float32]:
    """Return where a picture has structure: gradient energy, blurred, ranked to 0..1: `[64, 64]`."""
    grey = cv2.cvtColor(cv2.resize(pixels, (_SIDE * 2, _SIDE * 2), interpolation=cv2.INTER_AREA), cv2.COLOR_RGB2GRAY)
    soft = cv2.GaussianBlur(grey.astype(np.float32), (0, 0), 1.5)
    energy = np.hypot(cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1))
    blurred = cv2.GaussianBlur(cv2.resize(energy, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), (0, 0), 2)
    ranks = np.argsort(np.argsort(blurred.ravel())).reshape(blurred.shape) / (blurred.size - 1)
    return np.asarray(np.clip(ranks - 0.5, 0, None) * 2, dtype=np.float32)
