"""Calibration: thresholds learnt from candidates whose truth is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from curation.policy.curves import Bools, Floats, curves
from curation.policy.rules import Policy, Rule, When
from manifests.records import Layout

_LEVELS = 96
_MULTIPLIERS = np.geomspace(0.5, 64, 129)
_SWEEPS = 12
_CONFIDENCE_Z = 1.645


@dataclass(frozen=True)
class Bound:
    """One threshold to be learnt: which score, on which side it is bad, and for which layout."""

    column: str
    bad: Literal["low", "high"]
    layout: Layout | None = None

    def rule(self, threshold: float) -> Rule:
        """Return the rule with this threshold."""
        when = When(layout=self.layout) if self.layout else None
        if self.bad == "low":
            return Rule(column=self.column, min=threshold, when=when)
        return Rule(column=self.column, max=threshold, when=when)


BOUNDS: tuple[Bound, ...] = (
    Bound("style_similarity", "low"),
    Bound("style_similarity_csls", "low"),
    Bound("style_leak", "high"),
    Bound("subject_consistency", "low", "preserved"),
    Bound("subject_consistency", "low", "shifted"),
    Bound("destylization", "low"),
    Bound("layout_distance", "high", "preserved"),
    Bound("layout_distance", "low", "shifted"),
    Bound("copy_paste", "high", "shifted"),
    Bound("copy_paste", "high", "preserved"),
    Bound("palette_leak", "high"),
    Bound("photorealism", "low"),
    Bound("text_alignment", "low"),
    Bound("aesthetic", "low"),
    Bound("nsfw", "high"),
    Bound("watermark", "high"),
    Bound("faces", "high"),
    Bound("contamination", "high"),
    Bound("judge.style_match", "low"),
    Bound("judge.style_only", "low"),
    Bound("judge.subject_match", "low"),
    Bound("judge.realism", "low"),
    Bound("judge.layout_match", "low"),
)
"""The thresholds that calibration tries; those that do not pay are left out of the policy, and those on what nobody
measured or judged are not tried."""


@dataclass(frozen=True)
class Labelled:
    """Scored candidates with their truth: columns `[candidates]`, `good` where the truth says so.

    A score that was not measured is not a number; a column is there where some candidate has its score.
    """

    scores: Mapping[str, Floats]
    layout: Sequence[str]
    good: Bools

    def __len__(self) -> int:
        return len(self.good)

    def bounds(self, bounds: Sequence[Bound] = BOUNDS) -> tuple[Bound, ...]:
        """Return the thresholds whose score was measured."""
        return tuple(bound for bound in bounds if bound.column in self.scores)

    def among(self, chosen: Bools) -> Labelled:
        """Return the candidates that are chosen."""
        scores = {column: values[chosen] for column, values in self.scores.items()}
        return Labelled(scores, list(np.asarray(self.layout)[chosen]), self.good[chosen])

    def under(self, bound: Bound) -> tuple[Floats, Bools]:
        """Return the values that a threshold is about, measured and of its layout, and the truth of each."""
        values = self.scores[bound.column]
        applies = ~np.isnan(values)
        if bound.layout is not None:
            applies &= np.asarray(self.layout) == bound.layout
        return values[applies], self.good[applies]


@dataclass(frozen=True)
class Quality:
    """How a policy does on labelled candidates."""

    kept_good: int
    kept_bad: int
    good: int
    bad: int

    @property
    def precision(self) -> float:
        """Return the share of kept candidates that are good; 1 where none is kept."""
        kept = self.kept_good + self.kept_bad
        return self.kept_good / kept if kept else 1.0

    @property
    def recall(self) -> float:
        """Return the share of good candidates that are kept; 1 where there is none."""
        return self.kept_good / self.good if self.good else 1.0

    @property
    def precision_bound(self) -> float:
        """Return the lower end of the one-sided 95 % Wilson interval of the precision (Wilson 1927)."""
        n = self.kept_good + self.kept_bad
        if n == 0:
            return 0.0
        z2 = _CONFIDENCE_Z**2
        spread = _CONFIDENCE_Z * np.sqrt(self.precision * (1 - self.precision) / n + z2 / (4 * n * n))
        return float((self.precision + z2 / (2 * n) - spread) / (1 + z2 / n))


class CalibrationError(ValueError):
    """No policy can be learnt from these candidates; the message says what is missing."""


def auc(scores: Floats, good: Bools, *, bad: Literal["low", "high"] = "low") -> float:
    """Return the area under the ROC curve: the chance that a good candidate scores better than a bad one.

    0.5 is chance; NaN where one side is empty. Ties count half (Mann and Whitney 1947).
    """
    from scipy.stats import rankdata

    positive, negative = int(good.sum()), int((~good).sum())
    if not positive or not negative:
        return float("nan")
    ranks = rankdata(scores if bad == "low" else -scores)
    return float((ranks[good].sum() - positive * (positive + 1) / 2) / (positive * negative))


@dataclass(frozen=True)
class Cut:
    """A score on its own, cut where precision and recall are best together (F1, van Rijsbergen 1979)."""

    threshold: float
    precision: float
    recall: float


def best_cut(scores: Floats, good: Bools, *, bad: Literal["low", "high"] = "low") -> Cut | None:
    """Return the threshold with the best F1 of a score alone; None without good candidates or without bad ones."""
    along = curves(scores, good, bad=bad)
    if along is None:
        return None
    f1 = 2 * along.precision * along.recall / np.maximum(along.precision + along.recall, 1e-12)
    best = int(np.argmax(f1))
    return Cut(float(along.thresholds[best]), float(along.precision[best]), float(along.recall[best]))


def evaluate(policy: Policy, data: Labelled) -> tuple[Quality, Bools]:
    """Return how a policy does on labelled candidates, and which of them it keeps.

    A rule on a score that a candidate has not does not fire.
    """
    keep = np.ones(len(data), dtype=bool)
    layouts = np.asarray(data.layout)
    for rule in policy.rules:
        if rule.column not in data.scores:
            continue
        values = data.scores[rule.column]
        applies = layouts == rule.when.layout if rule.when else np.ones(len(data), dtype=bool)
        if rule.min is not None:
            keep &= ~(applies & (values < rule.min))
        if rule.max is not None:
            keep &= ~(applies & (values > rule.max))
    return _quality(keep, data.good), keep


def learn_policy(data: Labelled, *, precision: float, bounds: Sequence[Bound] = BOUNDS) -> Policy:
    """Return the policy with the highest recall found that keeps a precision, with 95 % confidence on this data.

    Coordinate ascent over the thresholds on `kept good - m * kept bad`, for a range of multipliers `m`; of the
    policies found, the one with the highest recall whose precision's lower confidence bound reaches `precision`.
    A threshold that keeps all is dropped. Raises CalibrationError where either label is rare, or no policy found
    reaches the precision.
    """
    good, bad = int(data.good.sum()), int((~data.good).sum())
    if min(good, bad) < 20:
        raise CalibrationError(f"calibration needs at least 20 good and 20 bad candidates; there are {good} and {bad}")
    search = _Search(data, data.bounds(bounds))
    best: tuple[float, Policy] | None = None
    reached = 0.0
    for multiplier in _MULTIPLIERS:
        policy = search.run(float(multiplier))
        quality, _ = evaluate(policy, data)
        reached = max(reached, quality.precision_bound)
        if quality.precision_bound >= precision and (best is None or quality.recall > best[0]):
            best = (quality.recall, policy)
    if best is None:
        raise CalibrationError(
            f"no policy keeps a precision of {precision:g} with 95 % confidence; the best reaches {reached:.3f}: "
            "label more candidates, or ask for less"
        )
    return best[1]


class _Search:
    """Coordinate ascent over thresholds. Values are turned so that low is bad; a row passes at or above its bound."""

    def __init__(self, data: Labelled, bounds: Sequence[Bound]) -> None:
        layouts = np.asarray(data.layout)
        self.good = data.good
        self.bounds = bounds
        self.values = []
        self.levels = []
        for bound in bounds:
            values = data.scores[bound.column] * (1 if bound.bad == "low" else -1)
            applies = ~np.isnan(values)
            if bound.layout is not None:
                applies &= layouts == bound.layout
            inside = values[applies & data.good]
            grid = np.quantile(inside, np.linspace(0, 0.5, _LEVELS)) if inside.size else np.zeros(0)
            self.values.append(np.where(applies, values, np.inf))
            self.levels.append(np.unique(np.concatenate([[-np.inf], _down(grid)])))

    def run(self, multiplier: float) -> Policy:
        weight = np.where(self.good, 1.0, -multiplier)
        chosen = np.full(len(self.bounds), -np.inf)
        for _ in range(_SWEEPS):
            before = chosen.copy()
            for position in range(len(self.bounds)):
                chosen[position] = self._best(position, chosen, weight)
            if np.array_equal(before, chosen):
                break
        rules = [
            bound.rule(round(float(level if bound.bad == "low" else -level), 4))
            for bound, level in zip(self.bounds, chosen, strict=True)
            if np.isfinite(level)
        ]
        return Policy(rules=tuple(rules))

    def _best(self, position: int, chosen: Floats, weight: Floats) -> float:
        others = np.ones(len(self.good), dtype=bool)
        for other, (values, level) in enumerate(zip(self.values, chosen, strict=True)):
            if other != position:
                others &= values >= level
        values, weights = self.values[position][others], weight[others]
        order = np.argsort(values)
        kept_from = np.concatenate([np.cumsum(weights[order][::-1])[::-1], [0.0]])
        gains = kept_from[np.searchsorted(values[order], self.levels[position], side="left")]
        return float(self.levels[position][int(np.argmax(gains))])


def _down(values: Floats) -> Floats:
    """Return thresholds moved to the next multiple of 0.0005 below, so that rounding never loses a good candidate."""
    return np.floor(values * 2000) / 2000


def _quality(keep: Bools, good: Bools) -> Quality:
    return Quality(int((keep & good).sum()), int((keep & ~good).sum()), int(good.sum()), int((~good).sum()))
