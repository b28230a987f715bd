"""Whether the content reference shows the target's subject."""

from __future__ import annotations

from typing import ClassVar

from workers.scorers.base import Scorer, Trio


class SubjectConsistency(Scorer):
    """Cosine of the subject embeddings of target and content reference, -1 to 1; high is good.

    The paper's second filter (USO, arXiv 2508.18966, section 3.2), with the embedding in place of its VLM.
    """

    column: ClassVar[str] = "subject_consistency"
    reads: ClassVar[tuple[str, ...]] = ("subject",)

    def score(self, trio: Trio) -> float:
        """Return the cosine."""
        return float(trio.target.subject @ trio.content.subject)
