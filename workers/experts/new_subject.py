"""The subject that a stylization expert is to draw: another one than the target's, chosen by a seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from manifests.images import ImageRef, Split
from workers.experts.base import Gallery

NO_OTHER_SUBJECT = ("no_other_subject", "the sources show no other subject that could be drawn")
"""Reason and detail of a request for which there is no other subject."""


class NewSubjects:
    """The subjects of a gallery, for an expert that draws."""

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery
        self._realistic: dict[Split, list[ImageRef]] = {}

    def choices(self, target: ImageRef, split: Split, *, pictured: bool) -> list[ImageRef]:
        """Return an image of every other subject of a split, in a fixed order.

        Photorealistic ones, or, where no source has them and the subject is only named (`pictured` is false), others
        in the target's style.
        """
        if split not in self._realistic:
            names = self._gallery.realistic_subjects(split)
            self._realistic[split] = [self._gallery.realistic(name)[0] for name in names]
        refs: Sequence[ImageRef] = self._realistic[split]
        if not refs and not pictured:
            styled = {ref.subject: ref for ref in self._gallery.styled(target.style, split)}
            refs = [styled[name] for name in sorted(styled)]
        return [ref for ref in refs if ref.subject != target.subject]

    def named(self, target: ImageRef, rng: np.random.Generator) -> ImageRef | None:
        """Return another subject of the target's split, to be drawn by its name alone; None where there is none."""
        choices = self.choices(target, target.split, pictured=False)
        return choices[int(rng.integers(len(choices)))] if choices else None
