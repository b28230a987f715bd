"""Works of the atelier for fitting and measuring encoders: which there are, and how each is painted."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

import workers.treatments
from curation.gallery import fit
from curation.ingest.decode import Decoded, decode
from curation.ingest.limits import Limits
from curation.sources.iconify import IconifySource
from manifests.identities import digest_of, seed_of
from manifests.images import UNTREATED, ImageRef, fold_of
from workers.encoders.data import Work
from workers.encoders.preprocess import Pixels
from workers.experts.layout_move import apply_move, draw_move
from workers.treatments.registry import treatment

MOVED = "moved"
"""Stands in the place of a treatment for a realistic render of which the layout was moved."""


def works_to_fit(treatments: Sequence[str], *, folds: Collection[int], treated_each: int) -> list[Work]:
    """Return works of all subjects in some folds (`manifests.images.fold_of`), in an order that never changes.

    Each family shows a subject untreated (in all of its drawings), and in `treated_each` of the treatments, by lot;
    the realistic renders are painted, too, so that a treatment is known apart from the hands that it was put on.
    """
    works: list[Work] = []
    for (subject, family), refs in _drawings(folds):
        works += [Work(subject, family, UNTREATED, ref.locator) for ref in refs]
        painted = sorted(name for name in treatments if name != UNTREATED)
        painted.sort(key=lambda name: seed_of(f"{subject}/{family}", f"{name}/taken"))
        works += [Work(subject, family, name, _by_lot(refs, name)) for name in sorted(painted[:treated_each])]
    return works


def works_to_measure(treatments: Sequence[str], *, folds: Collection[int]) -> list[Work]:
    """Return every subject in some folds once in each style that may be a target, in an order that never changes."""
    realistic = IconifySource().realistic_family
    return [
        Work(subject, family, name, _by_lot(refs, name))
        for (subject, family), refs in _drawings(folds)
        for name in treatments
        if family != realistic or name == UNTREATED
    ]


def _drawings(folds: Collection[int]) -> list[tuple[tuple[str, str], list[ImageRef]]]:
    """Return the drawings of each subject by each family, sorted."""
    drawings: dict[tuple[str, str], list[ImageRef]] = defaultdict(list)
    for ref in IconifySource().refs():
        if fold_of(ref.subject) in folds:
            drawings[ref.subject, ref.family].append(ref)
    return sorted(drawings.items())


def _by_lot(refs: Sequence[ImageRef], treatment_name: str) -> str:
    """Return the locator of the drawing that stands for a family under a treatment."""
    return refs[seed_of(f"{refs[0].subject}/{refs[0].family}", treatment_name) % len(refs)].locator


def moved_renders(*, folds: Collection[int]) -> list[Work]:
    """Return the realistic render of every subject in some folds, to be painted with its layout moved."""
    source = IconifySource()
    return [
        Work(ref.subject, ref.family, MOVED, ref.locator)
        for ref in source.refs()
        if ref.family == source.realistic_family and fold_of(ref.subject) in folds
    ]


@dataclass(frozen=True)
class AtelierPainter:
    """Makes the image of a work as a job would: rendered, decoded, painted by its treatment, or moved.

    The size in pixels is drawn by lot from `sizes` for each work, since a treatment looks alike but not equal at
    different sizes.
    """

    sizes: tuple[int, ...] = (128,)

    def __call__(self, work: Work) -> Pixels:
        """Return the image of a work, `[size, size, 3]` uint8."""
        cv2.setNumThreads(1)
        size = self.sizes[seed_of(work.locator, f"{work.treatment}/size") % len(self.sizes)]
        decoded = decode(IconifySource().read(_refs()[work.locator], size=size), Limits())
        pixels = fit(decoded.pixels, size)
        if work.treatment == MOVED:
            return _moved(pixels, decoded, seed_of(work.locator, MOVED))
        if work.treatment == UNTREATED:
            return pixels
        return treatment(work.treatment).paint(pixels, seed=seed_of(work.locator, work.treatment))

    @property
    def version(self) -> str:
        """Return a digest that changes with the sizes, the artwork or the code of any treatment."""
        folder = Path(workers.treatments.__file__).parent
        code = [hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.glob("*.py"))]
        return digest_of([self.sizes, sorted({ref.fingerprint for ref in _refs().values()}), code])


@lru_cache(maxsize=1)
def _refs() -> dict[str, ImageRef]:
    return {ref.locator: ref for ref in IconifySource().refs()}


def _moved(pixels: Pixels, decoded: Decoded, seed: int) -> Pixels:
    assert decoded.alpha is not None
    mask = fit(decoded.alpha, len(pixels))
    ground = np.full_like(pixels, 255)
    return apply_move(pixels, mask, draw_move(mask, seed=seed), backdrop=ground)


def subjects_first(works: Iterable[Work], count: int) -> list[Work]:
    """Return the works of `count` subjects, spread evenly over all names; all works where there are not more."""
    everything = list(works)
    names = sorted({work.subject for work in everything})
    if count >= len(names):
        return everything
    chosen = {names[position] for position in np.linspace(0, len(names) - 1, count).round().astype(int)}
    return [work for work in everything if work.subject in chosen]
