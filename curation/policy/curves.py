"""How a score on its own tells good candidates from bad ones: ROC, and precision and recall, at every threshold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Bools = NDArray[np.bool_]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Curves:
    """What is kept at each threshold `[thresholds]`, the strictest first; a candidate at the threshold is kept."""

    thresholds: Floats
    false_alarms: Floats
    """Share of bad candidates that are kept: the false positive rate."""
    recall: Floats
    """Share of good candidates that are kept: the true positive rate."""
    precision: Floats
    """Share of kept candidates that are good."""

    @property
    def average_precision(self) -> float:
        """Return the mean precision over the steps of recall; without skill it is the share of good candidates."""
        return float(np.sum(np.diff(self.recall, prepend=0.0) * self.precision))


def curves(scores: Floats, good: Bools, *, bad: Literal["low", "high"] = "low") -> Curves | None:
    """Return the curves of a score, exact at each of its distinct values; None where either side is empty."""
    if good.all() or not good.any():
        return None
    sign = 1 if bad == "low" else -1
    order = np.argsort(-sign * scores, kind="stable")
    values = scores[order]
    last = np.append(values[1:] != values[:-1], True)  # equal values are kept together
    kept_good, kept_bad = np.cumsum(good[order])[last], np.cumsum(~good[order])[last]
    return Curves(
        thresholds=values[last],
        false_alarms=kept_bad / (~good).sum(),
        recall=kept_good / good.sum(),
        precision=kept_good / (kept_good + kept_bad),
    )
