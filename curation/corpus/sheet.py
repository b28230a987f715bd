"""A contact sheet of the atelier: families down, treatments across."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from curation.gallery import Gallery, fit
from manifests.images import UNTREATED, ImageRef

_GAP = 6
"""Pixels between pictures."""
_LABEL = 150
"""Width in pixels of the labels on the left."""
_HEAD = 26
"""Height in pixels of the labels on top."""


class UnknownSubjectError(ValueError):
    """A subject that the atelier does not have was asked for."""


def contact_sheet(gallery: Gallery, subjects: Sequence[str], treatments: Sequence[str], *, size: int) -> Image.Image:
    """Return an RGB sheet with a block for each subject: one row a family, one column a treatment.

    Pictures are `size` pixels a side, from the first set of a family that shows the subject. A treatment under which
    a family is never a target (all of them, for the realistic one) leaves its place white. Raises UnknownSubjectError
    for a subject that no set shows.
    """
    by_family: dict[str, dict[str, ImageRef]] = {}
    for ref in gallery.refs:
        by_family.setdefault(ref.family, {}).setdefault(ref.subject, ref)
    known = {subject for refs in by_family.values() for subject in refs}
    for subject in subjects:
        if subject not in known:
            near = sorted(name for name in known if subject in name)[:5] or get_close_matches(subject, sorted(known))
            hint = f"; there are: {', '.join(near)}" if near else ""
            raise UnknownSubjectError(f"no set shows {subject!r}{hint}")
    rows = [(subject, family) for subject in subjects for family in by_family if subject in by_family[family]]
    step = size + _GAP
    sheet = Image.new("RGB", (_LABEL + step * len(treatments), _HEAD + step * len(rows)), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=12)
    for column, treatment in enumerate(treatments):
        draw.text((_LABEL + column * step + size / 2, _HEAD / 2), treatment, "black", font, anchor="mm")
    for row, (subject, family) in enumerate(rows):
        top = _HEAD + row * step
        draw.text((8, top + size / 2), f"{subject}\n{family}", "black", font, anchor="lm")
        ref = by_family[family][subject]
        for column, treatment in enumerate(treatments):
            if treatment == UNTREATED or treatment in gallery.treatments_of(family):
                pixels = fit(gallery.load(ref.treated(treatment)).pixels, size)
                sheet.paste(Image.fromarray(np.ascontiguousarray(pixels)), (_LABEL + column * step, top))
    return sheet


def save_sheet(sheet: Image.Image, path: Path) -> None:
    """Write a sheet as PNG, making the folder where needed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path, "PNG", optimize=True)
