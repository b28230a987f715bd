"""The scorers of a job, and how a candidate's row of scores comes about."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from workers.scorers.base import Scorer, Trio
from workers.scorers.contamination import Contamination
from workers.scorers.copy_descriptor import CopyDescriptor
from workers.scorers.copy_paste import CopyPaste
from workers.scorers.destylization import Destylization
from workers.scorers.embedder import Embedder
from workers.scorers.layout_distance import LayoutDistance
from workers.scorers.palette_leak import PaletteLeak
from workers.scorers.purposes import models
from workers.scorers.references import References
from workers.scorers.settings import ScorerSettings
from workers.scorers.style_leak import StyleLeak
from workers.scorers.style_similarity import StyleSimilarity
from workers.scorers.style_similarity_csls import StyleSimilarityCsls
from workers.scorers.subject_consistency import SubjectConsistency
from workers.scorers.text_alignment import TextAlignment
from workers.towers.base import TextTower, Tower
from workers.towers.load import build_tower
from workers.towers.settings import SscdSettings, TowerSettings

_DECIMALS = 4
"""Scores are rounded to these decimals, so that the last bits of an embedding never decide a candidate."""


def load_towers(settings: ScorerSettings, *, device: str = "cpu") -> dict[str, Tower]:
    """Return the model behind each purpose, loaded; purposes with equal settings have one model between them.

    Raises ValueError naming the key of the spec whose model does not load.
    """
    loaded: dict[TowerSettings, Tower] = {}
    towers = {}
    for purpose, wanted in models(settings).items():
        try:
            if wanted not in loaded:
                loaded[wanted] = build_tower(wanted, device=device)
        except (ValueError, OSError, ImportError) as error:
            raise ValueError(f"scores.{purpose}: {error}") from error
        towers[purpose] = loaded[wanted]
    return towers


def suite(settings: ScorerSettings, towers: Mapping[str, Tower], references: References) -> list[Scorer]:
    """Return one scorer for each score that the settings name, given the models behind them, loaded."""
    described = isinstance(settings.copies, SscdSettings)
    scorers: list[Scorer] = [
        StyleSimilarity(),
        StyleSimilarityCsls(references.bank, neighbours=settings.neighbours),
        StyleLeak(),
        SubjectConsistency(),
        Destylization(),
        LayoutDistance(),
        CopyDescriptor() if described else CopyPaste(),
        PaletteLeak(),
    ]
    return scorers + _optional(settings, towers, references)


def _optional(settings: ScorerSettings, towers: Mapping[str, Tower], references: References) -> list[Scorer]:
    """Return the scorers that only some specs ask for."""
    scorers: list[Scorer] = []
    if settings.photorealism is not None:
        from workers.scorers.photorealism import Photorealism

        clip = towers["photorealism"]
        assert isinstance(clip, TextTower)
        texts = settings.photorealism
        scorers.append(Photorealism(clip.embed_texts(texts.photographs), clip.embed_texts(texts.artworks)))
    if settings.text is not None:
        scorers.append(TextAlignment())
    if settings.aesthetic is not None:
        from workers.scorers.aesthetic import Aesthetic, load_head

        scorers.append(Aesthetic(load_head(settings.aesthetic.head)))
    if settings.nsfw is not None:
        from workers.scorers.classified import Nsfw

        scorers.append(Nsfw())
    if settings.watermark is not None:
        from workers.scorers.classified import Watermark

        scorers.append(Watermark())
    if settings.faces is not None:
        from workers.scorers.faces import Faces, build_detector

        scorers.append(Faces(build_detector(settings.faces)))
    if references.evaluation is not None:
        scorers.append(Contamination(references.evaluation))
    return scorers


def build_suite(
    settings: ScorerSettings, references: References, *, device: str = "cpu"
) -> tuple[Embedder, list[Scorer]]:
    """Return the models of a job and its scorers. Raises ValueError naming the key whose model does not load."""
    towers = load_towers(settings, device=device)
    return Embedder(towers), suite(settings, towers, references)


def measure(
    scorers: Sequence[Scorer], trio: Trio, broken: Mapping[str, str] | None = None
) -> tuple[dict[str, float | str], dict[str, str]]:
    """Return the scores of one candidate by column with the evidence beside them, and for each that failed, why.

    `broken` says which embeddings there are not, and why: scorers that read them fail with that cause. A score that
    is not finite counts as a failure: it is never stored. One that has no meaning for the candidate is left out.
    """
    scores: dict[str, float | str] = {}
    failures: dict[str, str] = {}
    for scorer in scorers:
        cause = next((broken[name] for name in scorer.reads if name in broken), None) if broken else None
        if cause is not None:
            failures[scorer.column] = cause
            continue
        try:
            found = scorer.find(trio)
        except Exception as error:  # a scorer's fault costs one row, never the job
            failures[scorer.column] = f"{type(error).__name__}: {error}"
            continue
        if found.score is None:
            continue
        if math.isfinite(found.score):
            scores |= {scorer.column: round(found.score, _DECIMALS), **found.evidence}
        else:
            failures[scorer.column] = f"the score is {found.score}"
    return scores, failures
