"""Measuring an encoder, and baselines beside it, on held-out works of the atelier."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from curation.corpus.cache import cache_dir
from curation.encoders.works import AtelierPainter, moved_renders, subjects_first, works_to_measure
from manifests.images import HELDOUT_FOLD
from uso.nano.tower import TowerShape
from workers.encoders.baselines import BASELINES, baseline
from workers.encoders.data import Pool, Work, make_pool
from workers.encoders.evaluate import Embedded, Evaluation, evaluate, grouped
from workers.encoders.load import NanoEncoder
from workers.encoders.recipe import Recipe

Progress = Callable[[str, int, int], None]
"""Called with what is being done, the parts done, and all parts."""

POOL_SIDE = TowerShape().side
"""Side of the images that are kept, in pixels: what the tower sees."""


@dataclass(frozen=True)
class HeldOut:
    """Held-out images: every subject in every style, and the realistic renders with their layout moved."""

    drawn: Pool
    moved: Pool


def held_out(treatments: Sequence[str], *, subjects: int, processes: int, progress: Progress) -> HeldOut:
    """Return held-out images of at most `subjects` subjects; they are rendered once and kept in the cache."""
    works = works_to_measure(treatments, folds=(HELDOUT_FOLD,))
    taken = subjects_first(works, subjects)
    names = {work.subject for work in taken}
    moved = [work for work in moved_renders(folds=(HELDOUT_FOLD,)) if work.subject in names]
    return HeldOut(
        pool_of(taken, AtelierPainter(), processes=processes, progress=progress),
        pool_of(moved, AtelierPainter(), processes=1, progress=progress),
    )


def pool_of(works: Sequence[Work], painter: AtelierPainter, *, processes: int, progress: Progress) -> Pool:
    """Return works as images of side `POOL_SIDE`, rendered once into the cache."""
    return make_pool(
        works,
        painter,
        side=POOL_SIDE,
        folder=cache_dir() / "encoders",
        version=painter.version,
        processes=processes,
        progress=lambda done, every: progress("Painting", done, every),
    )


def measure(encoder: NanoEncoder, images: HeldOut, recipe: Recipe) -> Evaluation:
    """Return the figures of an encoder on held-out images."""
    drawn, moved = (Embedded(pool.works, *encoder.embed(list(pool.images))) for pool in (images.drawn, images.moved))
    return _evaluate(drawn, moved, recipe)


def measure_baseline(name: str, images: HeldOut, recipe: Recipe) -> Evaluation:
    """Return the figures of a pretrained baseline on the same pairs; its one vector serves as style and as subject."""
    embed = baseline(name)
    vectors = [embed(list(pool.images)) for pool in (images.drawn, images.moved)]
    drawn, moved = (
        Embedded(pool.works, found, found) for pool, found in zip((images.drawn, images.moved), vectors, strict=True)
    )
    return _evaluate(drawn, moved, recipe)


def _evaluate(drawn: Embedded, moved: Embedded, recipe: Recipe) -> Evaluation:
    return evaluate(
        drawn,
        moved=moved,
        left_out_family=recipe.left_out_family,
        left_out_treatments=recipe.left_out_treatments,
    )


def table_of(evaluation: Evaluation, works: Sequence[Work], by: str) -> dict[str, dict[str, float]]:
    """Return the mean pairwise areas by `family` or `treatment` as nested dictionaries, without the diagonal."""
    names, areas = grouped(evaluation.styles, evaluation.confusion, works, by)
    return {
        name: {
            other: round(float(areas[row, column]), 4)
            for column, other in enumerate(names)
            if np.isfinite(areas[row, column])
        }
        for row, name in enumerate(names)
    }


def draw(evaluation: Evaluation, works: Sequence[Work], path: Path) -> None:
    """Write the confusion picture: by family, by treatment, and of all styles."""
    from workers.encoders.confusion_picture import draw_confusion

    panels = [
        (f"by {by}, the other being equal", *grouped(evaluation.styles, evaluation.confusion, works, by))
        for by in ("family", "treatment")
    ]
    draw_confusion([*panels, ("all styles", evaluation.styles, evaluation.confusion)], path)


__all__ = ["BASELINES", "HeldOut", "draw", "held_out", "measure", "measure_baseline", "pool_of", "table_of"]
