"""Whether the content reference is a copy of the target, by a descriptor made for that."""

from __future__ import annotations

from typing import ClassVar

from workers.scorers.base import Scorer, Trio


class CopyDescriptor(Scorer):
    """Cosine of the copy-detection descriptors of target and content reference, -1 to 1; low is good.

    SSCD (Pizzi et al. 2022) sees through crops, filters and overlays, which the perceptual hash does not.
    """

    column: ClassVar[str] = "copy_paste"
    reads: ClassVar[tuple[str, ...]] = ("copies",)

    def score(self, trio: Trio) -> float:
        """Return the cosine."""
        return float(trio.target.seen["copies"] @ trio.content.seen["copies"])
