"""How far the subject moved between target and content reference."""

from __future__ import annotations

from typing import ClassVar

import cv2
import numpy as np
from numpy.typing import NDArray

from workers.scorers.base import Pixels, Scorer, Trio

_SIDE = 64
_BLUR = 1.2
_NEAR = 8.0
_BACKDROP_SHARE = 0.3

Place = NDArray[np.float32]
"""Where the subject is: `[64, 64]`, 0 to 1."""


class LayoutDistance(Scorer):
    """1 less the soft overlap of the places that the subject takes in target and content reference, 0 to 1.

    The label `layout` is verified with it: preserved needs it small, shifted needs it large. Where both pictures have a
    backdrop (one colour, textures blurred away, takes a good part of the rim), a place is what differs from it, holes
    filled; elsewhere it is where the picture has structure (blurred gradient energy), which a painting keeps where the
    photograph had it. Overlap is the sum of the smaller over the sum of the larger values, at the best alignment within
    two per cent of the side, so that a redrawing may breathe.
    """

    column: ClassVar[str] = "layout_distance"

    def score(self, trio: Trio) -> float:
        """Return the distance."""
        pair = (trio.target.pixels, trio.content.pixels)
        silhouettes = [_silhouette(pixels) for pixels in pair]
        if any(place is None for place in silhouettes):
            a, b = (_structure(pixels) for pixels in pair)
        else:
            a, b = (place for place in silhouettes if place is not None)
        return 1.0 - max(_overlap(a, np.roll(b, (dy, dx), (0, 1))) for dy in (-1, 0, 1) for dx in (-1, 0, 1))


def _overlap(a: Place, b: Place) -> float:
    larger = float(np.maximum(a, b).sum())
    return float(np.minimum(a, b).sum()) / larger if larger > 0 else 1.0


def _silhouette(pixels: Pixels) -> Place | None:
    """Return where a picture differs from its backdrop, or None where its rim shows none."""
    small = cv2.resize(pixels, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA).astype(np.float32) / 255
    lab = cv2.cvtColor(cv2.GaussianBlur(small, (0, 0), _BLUR), cv2.COLOR_RGB2LAB)
    rim = np.concatenate([lab[:2], lab[-2:], lab[:, :2].swapaxes(0, 1), lab[:, -2:].swapaxes(0, 1)], axis=0)
    colours = rim.reshape(-1, 3)
    near = np.linalg.norm(colours[:, None] - colours[None], axis=2) < _NEAR
    commonest = near[int(near.sum(axis=1).argmax())]
    if commonest.mean() < _BACKDROP_SHARE:
        return None
    apart = np.linalg.norm(lab - colours[commonest].mean(axis=0), axis=2)
    inside = np.clip((apart - _NEAR) / 4 + 0.5, 0, 1)
    padded = np.pad((inside > 0.5).astype(np.uint8), 1)
    cv2.floodFill(padded, np.zeros((_SIDE + 4, _SIDE + 4), np.uint8), (0, 0), 2)
    return np.asarray(np.maximum(inside, padded[1:-1, 1:-1] != 2), dtype=np.float32)


def _structure(pixels: Pixels) -> Place:
    """Return where a picture has structure: the upper half of its blurred gradient energy, ranked."""
    small = cv2.resize(pixels, (_SIDE * 2, _SIDE * 2), interpolation=cv2.INTER_AREA)
    soft = cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32), (0, 0), 1.5)
    energy = np.hypot(cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1))
    blurred = cv2.GaussianBlur(cv2.resize(energy, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), (0, 0), 2)
    ranks = np.argsort(np.argsort(blurred.ravel(), kind="stable")).reshape(blurred.shape) / (blurred.size - 1)
    return np.asarray(np.clip(ranks - 0.5, 0, None) * 2, dtype=np.float32)
