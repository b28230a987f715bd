"""How well vectors tell styles and subjects apart, as areas under ROC curves over pairs of images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from workers.encoders.data import Work

_PAIRS = 100_000
_PER_STYLE = 40

Vectors = NDArray[np.float32]
"""Unit vectors, `[n, width]`."""


@dataclass(frozen=True)
class Embedded:
    """Works and their vectors, in the same order."""

    works: Sequence[Work]
    style: Vectors
    subject: Vectors


@dataclass(frozen=True)
class Evaluation:
    """What an encoder achieves: named areas under ROC curves, and the pairwise area of every two styles.

    `confusion` is `[styles, styles]`, symmetric, 0.5 where two styles cannot be told apart, its diagonal NaN.
    """

    figures: dict[str, float]
    styles: tuple[str, ...]
    confusion: NDArray[np.float64]


def area_under_roc(positive: NDArray[np.floating], negative: NDArray[np.floating]) -> float:
    """Return the probability that a positive pair scores above a negative one, ties counting half; 0 to 1.

    NaN where either side is empty.
    """
    if positive.size == 0 or negative.size == 0:
        return float("nan")
    ranks = rankdata(np.concatenate([positive, negative]))
    wins = ranks[: positive.size].sum() - positive.size * (positive.size + 1) / 2
    return float(wins / (positive.size * negative.size))


def evaluate(
    drawn: Embedded,
    *,
    moved: Embedded | None,
    left_out_family: str,
    left_out_treatments: Sequence[str],
    seed: int = 0,
) -> Evaluation:
    """Return the figures of an encoder on works that it was not fitted on.

    - `style`: pairs of different subjects, in one style or in two. Also with at least one image of the pair in the
      left-out family, or in a left-out treatment; and by family alone (the two share their treatment) and by treatment
      alone (they share their family).
    - `subject`: pairs in different styles, of one subject or of two; also within the left-out parts.
    - `subject_moved`: a drawn image and a realistic render of which the layout was moved, of one subject or of two
      (`moved` holds those renders).
    """
    rng = np.random.default_rng(seed)
    labels = _Labels(drawn.works)
    everything = np.ones(len(drawn.works), dtype=bool)
    groups = {
        "": everything,
        "_left_out_family": labels.families == left_out_family,
        **{f"_left_out_{name}": labels.treatments == name for name in left_out_treatments},
    }
    unseen = groups["_left_out_family"].copy()
    for name in left_out_treatments:
        unseen |= groups[f"_left_out_{name}"]
    groups["_fitted"] = ~unseen
    figures: dict[str, float] = {}
    for suffix, members in groups.items():
        others = ~unseen if suffix == "_fitted" else everything
        figures[f"style{suffix}"] = _style_area(drawn.style, labels, members, others, rng)
        figures[f"subject{suffix}"] = _subject_area(drawn.subject, labels, members, others, rng)
    figures["style_by_family_alone"] = _style_area(drawn.style, labels, everything, everything, rng, share="treatment")
    figures["style_by_treatment_alone"] = _style_area(drawn.style, labels, everything, everything, rng, share="family")
    if moved is not None:
        figures["subject_moved"] = _moved_area(drawn, moved, rng)
    styles, confusion = confusion_of(drawn)
    return Evaluation(figures, styles, confusion)


def confusion_of(drawn: Embedded) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Return the styles, and for each two of them how well pairs within one are told from pairs across both."""
    by_style: dict[str, list[int]] = {}
    for position, work in enumerate(drawn.works):
        by_style.setdefault(work.style, []).append(position)
    styles = tuple(by_style)
    chosen = {style: _spread(positions) for style, positions in by_style.items()}
    subjects = np.array([work.subject for work in drawn.works])
    area = np.full((len(styles), len(styles)), np.nan)
    within = {style: _cosines(drawn.style, subjects, rows, rows) for style, rows in chosen.items()}
    for a, b in combinations(range(len(styles)), 2):
        across = _cosines(drawn.style, subjects, chosen[styles[a]], chosen[styles[b]])
        inside = np.concatenate([within[styles[a]], within[styles[b]]])
        area[a, b] = area[b, a] = area_under_roc(inside, across)
    return styles, area


def grouped(
    styles: Sequence[str], confusion: NDArray[np.float64], works: Sequence[Work], by: str
) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Return the mean pairwise areas by `family` (over equal treatments) or by `treatment` (over equal families)."""
    own = {work.style: (work.family, work.treatment) for work in works}
    key, other = (0, 1) if by == "family" else (1, 0)
    names = tuple(dict.fromkeys(own[style][key] for style in styles))
    table = np.full((len(names), len(names)), np.nan)
    for a, b in combinations(range(len(names)), 2):
        cells = [
            confusion[i, j]
            for i, first in enumerate(styles)
            for j, second in enumerate(styles)
            if own[first][key] == names[a] and own[second][key] == names[b] and own[first][other] == own[second][other]
        ]
        if cells:
            table[a, b] = table[b, a] = float(np.mean(cells))
    return names, table


class _Labels:
    def __init__(self, works: Sequence[Work]) -> None:
        self.families = np.array([work.family for work in works])
        self.treatments = np.array([work.treatment for work in works])
        self.subjects = np.unique([work.subject for work in works], return_inverse=True)[1]
        self.styles = np.unique([work.style for work in works], return_inverse=True)[1]


def _style_area(
    vectors: Vectors,
    labels: _Labels,
    members: NDArray[np.bool_],
    others: NDArray[np.bool_],
    rng: np.random.Generator,
    *,
    share: str | None = None,
) -> float:
    """Return the area over pairs of a member and another, of different subjects; negatives may share a label."""
    positive = _pairs(members & others, others, rng, match=labels.styles)
    keep = {"family": labels.families, "treatment": labels.treatments}[share] if share else None
    negative = _pairs(members & others, others, rng, match=keep)
    positive = positive[:, labels.subjects[positive[0]] != labels.subjects[positive[1]]]
    differs = (labels.styles[negative[0]] != labels.styles[negative[1]]) & (
        labels.subjects[negative[0]] != labels.subjects[negative[1]]
    )
    return area_under_roc(_dot(vectors, positive), _dot(vectors, negative[:, differs]))


def _subject_area(
    vectors: Vectors,
    labels: _Labels,
    members: NDArray[np.bool_],
    others: NDArray[np.bool_],
    rng: np.random.Generator,
) -> float:
    positive = _pairs(members & others, others, rng, match=labels.subjects)
    negative = _pairs(members & others, others, rng, match=None)
    positive = positive[:, labels.styles[positive[0]] != labels.styles[positive[1]]]
    differs = (labels.styles[negative[0]] != labels.styles[negative[1]]) & (
        labels.subjects[negative[0]] != labels.subjects[negative[1]]
    )
    return area_under_roc(_dot(vectors, positive), _dot(vectors, negative[:, differs]))


def _pairs(
    members: NDArray[np.bool_],
    others: NDArray[np.bool_],
    rng: np.random.Generator,
    *,
    match: NDArray[np.generic] | None,
) -> NDArray[np.int64]:
    """Return `[2, _PAIRS]` positions: a member and another image, of the member's label where `match` is given."""
    first = rng.choice(np.flatnonzero(members), _PAIRS)
    if match is None:
        return np.stack([first, rng.choice(np.flatnonzero(others), _PAIRS)])
    pool = np.flatnonzero(others)
    pool = pool[np.argsort(match[pool], kind="stable")]
    starts = np.searchsorted(match[pool], match[first], side="left")
    ends = np.searchsorted(match[pool], match[first], side="right")
    return np.stack([first, pool[rng.integers(starts, ends)]])


def _moved_area(drawn: Embedded, moved: Embedded, rng: np.random.Generator) -> float:
    names = np.array([work.subject for work in drawn.works])
    rendered: dict[str, list[int]] = {}
    for position, work in enumerate(moved.works):
        rendered.setdefault(work.subject, []).append(position)
    first = rng.choice(np.flatnonzero(np.isin(names, list(rendered))), _PAIRS)
    same = np.array([rng.choice(rendered[names[position]]) for position in first])
    other = rng.integers(len(moved.works), size=_PAIRS)
    apart = np.array([work.subject for work in moved.works])[other] != names[first]
    cosines = [np.einsum("ij,ij->i", drawn.subject[first], moved.subject[second]) for second in (same, other)]
    return area_under_roc(cosines[0], cosines[1][apart])


def _spread(positions: list[int]) -> NDArray[np.int64]:
    """Return at most `_PER_STYLE` of some positions, evenly spread."""
    taken = np.linspace(0, len(positions) - 1, min(_PER_STYLE, len(positions))).round().astype(np.int64)
    return np.array(positions, dtype=np.int64)[taken]


def _cosines(
    vectors: Vectors, subjects: NDArray[np.str_], rows: NDArray[np.int64], columns: NDArray[np.int64]
) -> NDArray[np.float32]:
    """Return the cosines between two groups of images, less pairs that show one subject."""
    cosines = vectors[rows] @ vectors[columns].T
    apart: NDArray[np.float32] = cosines[subjects[rows][:, None] != subjects[columns][None, :]]
    return apart


def _dot(vectors: Vectors, pairs: NDArray[np.int64]) -> NDArray[np.float32]:
    cosines: NDArray[np.float32] = np.einsum("ij,ij->i", vectors[pairs[0]], vectors[pairs[1]])
    return cosines
