"""Fitting the nano encoders on the atelier, from artwork to weights with their figures beside them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from curation.encoders.report import held_out, measure, pool_of
from curation.encoders.works import AtelierPainter, works_to_fit
from manifests.images import UNTREATED
from uso.nano.weights import save_tower
from workers.encoders.data import Work
from workers.encoders.fit import UNSEEN_FOLDS, fit, may_fit_on
from workers.encoders.load import NanoEncoder
from workers.encoders.recipe import Recipe
from workers.treatments.registry import DEFAULT_TREATMENTS

FITTING_SIZES = (96, 128)
"""Sizes in pixels at which works are painted for fitting, so that strokes are known at more than one scale."""


class Progress(Protocol):
    """Told what is being done, the parts done, all parts, and a note (the losses)."""

    def __call__(self, what: str, done: int, every: int, note: str = "") -> None:
        """Show it."""


def fit_on_atelier(recipe: Recipe, out: Path, *, processes: int, progress: Progress) -> dict[str, float]:
    """Fit a tower by a recipe, write its weights to `out` and what is known of them beside it, and return the figures.

    Goes on from the checkpoint that an interrupted fit of the same recipe left beside `out`. Raises ValueError where
    the recipe leaves out a treatment or a family that does not exist.
    """
    seen = works_seen(recipe)
    pool = pool_of(seen, AtelierPainter(FITTING_SIZES), processes=processes, progress=progress)
    checkpoint = out.with_suffix(".checkpoint.safetensors")

    def report(done: int, style: float, subject: float) -> None:
        progress("Fitting", done, recipe.steps, f"style {style:.3f}, subject {subject:.3f}")

    save_tower(fit(recipe, pool, checkpoint=checkpoint, report=report), out)
    checkpoint.unlink()
    images = held_out(treatments_of(recipe), subjects=1000, processes=processes, progress=progress)
    figures = {key: round(area, 4) for key, area in measure(NanoEncoder(out), images, recipe).figures.items()}
    known = {
        "sha256": hashlib.sha256(out.read_bytes()).hexdigest(),
        "recipe": recipe.model_dump(mode="json"),
        "fitted_on": {"images": len(seen), "styles": len({work.style for work in seen})},
        "heldout_figures": figures,
    }
    out.with_suffix(".json").write_text(json.dumps(known, indent=1) + "\n")
    return figures


def treatments_of(recipe: Recipe) -> Sequence[str]:
    """Return the treatments that encoders know or are measured on; raises ValueError for an unknown left-out one."""
    names = (UNTREATED, *DEFAULT_TREATMENTS)
    for name in recipe.left_out_treatments:
        if name not in names[1:]:
            raise ValueError(f"cannot leave out the treatment {name!r}; there are {', '.join(names[1:])}")
    return names


def works_seen(recipe: Recipe) -> list[Work]:
    """Return the works that a recipe fits on; raises ValueError where it leaves out a family that does not exist."""
    folds = [fold for fold in range(10) if fold not in UNSEEN_FOLDS]
    names = [name for name in treatments_of(recipe) if name not in recipe.left_out_treatments]
    works = works_to_fit(names, folds=folds, treated_each=recipe.treated_each)
    families = sorted({work.family for work in works})
    if recipe.left_out_family not in families:
        raise ValueError(f"cannot leave out the family {recipe.left_out_family!r}; there are {', '.join(families)}")
    return [work for work in works if may_fit_on(work, recipe)]
