"""The suite of scorers that need no outside weights, and how a candidate's row of scores comes about."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from workers.scorers.base import Scorer, Trio
from workers.scorers.copy_paste import CopyPaste
from workers.scorers.destylization import Destylization
from workers.scorers.layout_distance import LayoutDistance
from workers.scorers.palette_leak import PaletteLeak
from workers.scorers.style_leak import StyleLeak
from workers.scorers.style_similarity import StyleSimilarity
from workers.scorers.style_similarity_csls import StyleSimilarityCsls
from workers.scorers.subject_consistency import SubjectConsistency

_DECIMALS = 4
"""Scores are rounded to these decimals, so that the last bits of an embedding never decide a candidate."""


def suite(bank: NDArray[np.float32], *, neighbours: int) -> list[Scorer]:
    """Return one scorer for each score column, given the style embeddings of a reference bank `[images, width]`."""
    return [
        StyleSimilarity(),
        StyleSimilarityCsls(bank, neighbours=neighbours),
        StyleLeak(),
        SubjectConsistency(),
        Destylization(),
        LayoutDistance(),
        CopyPaste(),
        PaletteLeak(),
    ]


def measure(scorers: Sequence[Scorer], trio: Trio) -> tuple[dict[str, float], dict[str, str]]:
    """Return the scores of one candidate by column, and for each scorer that failed, why.

    A score that is not finite counts as a failure: it is never stored.
    """
    scores: dict[str, float] = {}
    failures: dict[str, str] = {}
    for scorer in scorers:
        try:
            value = scorer.score(trio)
        except Exception as error:  # a scorer's fault costs one row, never the job
            failures[scorer.column] = f"{type(error).__name__}: {error}"
            continue
        if math.isfinite(value):
            scores[scorer.column] = round(value, _DECIMALS)
        else:
            failures[scorer.column] = f"the score is {value}"
    return scores, failures
