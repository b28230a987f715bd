"""What is measured of an image that an expert made, by role, and which way is good."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from workers.experts.base import ExpertRole
from workers.scorers.base import Scorer, Trio, View
from workers.scorers.copy_paste import CopyPaste
from workers.scorers.destylization import Destylization
from workers.scorers.layout_distance import LayoutDistance
from workers.scorers.style_leak import StyleLeak
from workers.scorers.style_similarity import StyleSimilarity
from workers.scorers.subject_consistency import SubjectConsistency

Measure = Callable[[View, View, View | None], float]
"""Takes target, made image, and a photorealistic picture of the subject that it should show, where there is one."""


@dataclass(frozen=True)
class SkillColumn:
    """One figure: its key, which way is good, what it means, and how it is measured (not a number: not at all)."""

    key: str
    good: Literal["high", "low"]
    meaning: str
    measure: Measure
    layout: Literal["preserved", "shifted"] | None = None


def _scored(scorer: Scorer) -> Measure:
    """Return a scorer of triplets as a measure: the made image stands in both places, of which it reads its own."""

    def measure(target: View, made: View, _: View | None) -> float:
        score = scorer.score(Trio(target=target, style=made, content=made))
        return float("nan") if score is None else score

    return measure


def _shows(_: View, made: View, wanted: View | None) -> float:
    return float("nan") if wanted is None else float(np.dot(made.subject, wanted.subject))


def _looks(_: View, made: View, wanted: View | None) -> float:
    return float("nan") if wanted is None else float(np.dot(made.style, wanted.style))


_COPY = SkillColumn(
    "copy_paste", "low", "equal bits of the perceptual hashes of target and image", _scored(CopyPaste())
)
_SHOWS = SkillColumn("shows_subject", "high", "subject cosine to a true picture of the subject asked for", _shows)

SKILL_COLUMNS: dict[ExpertRole, tuple[SkillColumn, ...]] = {
    "stylize": (
        SkillColumn("style_similarity", "high", "style cosine of target and image", _scored(StyleSimilarity())),
        _SHOWS,
        SkillColumn("style_leak", "low", "subject cosine of target and image", _scored(StyleLeak())),
        _COPY,
    ),
    "destylize": (
        SkillColumn("subject_consistency", "high", "subject cosine of target and image", _scored(SubjectConsistency())),
        _SHOWS,
        SkillColumn("destylization", "high", "1 - style cosine of target and image", _scored(Destylization())),
        SkillColumn("looks_real", "high", "style cosine to a true picture of the subject", _looks),
        SkillColumn(
            "layout_kept", "low", "layout distance where it is to be kept", _scored(LayoutDistance()), "preserved"
        ),
        SkillColumn(
            "layout_shifted", "high", "layout distance where it is to shift", _scored(LayoutDistance()), "shifted"
        ),
        _COPY,
    ),
}
