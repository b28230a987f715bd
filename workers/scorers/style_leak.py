"""Whether the style reference shows the target's subject."""

from __future__ import annotations

from typing import ClassVar

from workers.scorers.base import Scorer, Trio


class StyleLeak(Scorer):
    """Cosine of the subject embeddings of target and style reference, -1 to 1; low is good."""

    column: ClassVar[str] = "style_leak"
    reads: ClassVar[tuple[str, ...]] = ("subject",)

    def score(self, trio: Trio) -> float:
        """Return the cosine."""
        return float(trio.target.subject @ trio.style.subject)
