"""Means with bootstrap confidence intervals where pictures share subjects and styles.

Pictures of one subject, or in one style, are not independent, so subjects and styles are drawn anew and not pictures: a
picture counts as often as its subject times as often as its style was drawn (the pigeonhole bootstrap, Owen 2007).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Interval:
    """A mean over `samples` pictures, and the bounds of its interval; None where one subject and style are all."""

    mean: float
    low: float | None
    high: float | None
    samples: int

    def above(self, other: Interval) -> bool:
        """Return whether the whole interval lies above another."""
        return self.low is not None and other.high is not None and self.low > other.high


class Bootstrap:
    """Resamples subjects and styles, the same way for every system and column, so that differences are paired.

    Raises ValueError where subjects and styles are not of one length, or the level is not between 0 and 1.
    """

    def __init__(
        self,
        subjects: Sequence[str],
        styles: Sequence[str | None],
        *,
        resamples: int = 2000,
        seed: int = 0,
        level: float = 0.95,
    ) -> None:
        if len(subjects) != len(styles):
            raise ValueError(f"{len(subjects)} subjects, but {len(styles)} styles")
        if not 0 < level < 1 or resamples < 2:
            raise ValueError("the level must lie between 0 and 1, and there must be at least 2 resamples")
        self._tail = (1 - level) / 2
        self._resamples, self._seed = resamples, seed
        self._subject = _numbered(list(subjects))
        self._style = _numbered(list(styles))

    def mean(self, values: Values) -> Interval | None:
        """Return the mean of values `[pictures]`, NaN where there is none, and its interval; None where all are NaN."""
        there = np.flatnonzero(~np.isnan(values))
        if there.size == 0:
            return None
        subjects, styles = self._subject[there], self._style[there]
        mean = float(values[there].mean())
        if np.ptp(subjects) == 0 and np.ptp(styles) == 0:
            return Interval(mean, None, None, int(there.size))
        low, high = np.quantile(self._means(values[there], subjects, styles), (self._tail, 1 - self._tail))
        return Interval(mean, float(low), float(high), int(there.size))

    def difference(self, values: Values, others: Values) -> Interval | None:
        """Return the mean of the paired difference, over pictures that both have, and its interval."""
        return self.mean(values - others)

    def _means(self, values: Values, subjects: NDArray[np.int64], styles: NDArray[np.int64]) -> Values:
        """Return the mean of each resample; those that drew no picture at all are left out."""
        rng = np.random.default_rng(self._seed)
        sums = _grid(values, subjects, styles)
        counts = _grid(np.ones_like(values), subjects, styles)
        by_subject, by_style = (_drawn(rng, size, self._resamples) for size in sums.shape)
        total = np.einsum("rs,st,rt->r", by_subject, sums, by_style, optimize=True)
        count = np.einsum("rs,st,rt->r", by_subject, counts, by_style, optimize=True)
        return np.asarray(total[count > 0] / count[count > 0])


def _grid(values: Values, subjects: NDArray[np.int64], styles: NDArray[np.int64]) -> Values:
    """Return the sum of the values of each subject in each style, `[subjects, styles]`, those that are there."""
    rows, columns = (np.unique(clusters, return_inverse=True) for clusters in (subjects, styles))
    grid = np.zeros((len(rows[0]), len(columns[0])))
    np.add.at(grid, (rows[1], columns[1]), values)
    return grid


def _drawn(rng: np.random.Generator, clusters: int, resamples: int) -> Values:
    """Return how often each cluster is drawn in each resample, `[resamples, clusters]`."""
    return rng.multinomial(clusters, np.full(clusters, 1 / clusters), size=resamples).astype(np.float64)


def _numbered(names: Sequence[str | None]) -> NDArray[np.int64]:
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], dtype=np.int64)
