"""Style similarity of target and style reference."""

from __future__ import annotations

from typing import ClassVar

from workers.scorers.base import Scorer, Trio


class StyleSimilarity(Scorer):
    """Cosine of the style embeddings of target and style reference, -1 to 1; high is good.

    The paper's first filter (USO, arXiv 2508.18966, section 3.2), with the embedding in place of its VLM.
    """

    column: ClassVar[str] = "style_similarity"
    reads: ClassVar[tuple[str, ...]] = ("style",)

    def score(self, trio: Trio) -> float:
        """Return the cosine."""
        return float(trio.target.style @ trio.style.style)
