"""Whether the content reference lost the target's style."""

from __future__ import annotations

from typing import ClassVar

from workers.scorers.base import Scorer, Trio


class Destylization(Scorer):
    """1 less the cosine of the style embeddings of target and content reference, 0 to 2; high is good.

    Low values are content references that still look painted.
    """

    column: ClassVar[str] = "destylization"
    reads: ClassVar[tuple[str, ...]] = ("style",)

    def score(self, trio: Trio) -> float:
        """Return the distance."""
        return 1.0 - float(trio.target.style @ trio.content.style)
