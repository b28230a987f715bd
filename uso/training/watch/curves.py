"""Making curves fit to be drawn: a running mean of noisy ones, and fewer points of long ones."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from uso.training.watch.metrics import Curve

_WINDOWS = 25


def smoothed(curve: Curve) -> tuple[Curve, float]:
    """Return a running mean and the steps that it spans: about a 25th of the curve, at least five points.

    Each mean lies in the middle of its window, so that the curve does not lag behind. The window grows from the first
    point on, where a loss falls fast, and loses its later half towards the last, where it hardly moves.
    """
    points = len(curve.values)
    half = max(2, round(points / _WINDOWS / 2))
    places = np.arange(points)
    reach = np.minimum(places, half)
    first, last = places - reach, np.minimum(places + reach, points - 1)
    sums = np.concatenate([[0.0], np.cumsum(curve.values)])
    means = (sums[last + 1] - sums[first]) / (last + 1 - first)
    between = float(np.median(np.diff(curve.steps))) if points > 1 else 0.0
    return Curve(curve.steps, means), (2 * half + 1) * between


def thinned(curve: Curve, most: int) -> Curve:
    """Return a curve of at most about `most` points that draws as the whole one does: each bin's lowest and highest."""
    points = len(curve.values)
    if points <= most:
        return curve
    edges = [int(edge) for edge in np.linspace(0, points, most // 2 + 1)]
    kept = {0, points - 1}
    for low, high in pairwise(edges):
        part = curve.values[low:high]
        kept |= {low + int(np.argmin(part)), low + int(np.argmax(part))}
    chosen = np.array(sorted(kept))
    return Curve(curve.steps[chosen], curve.values[chosen])
