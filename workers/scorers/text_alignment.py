"""Whether the target shows what its prompt says."""

from __future__ import annotations

from typing import ClassVar

from workers.scorers.base import Scorer, Trio


class TextAlignment(Scorer):
    """CLIP-T: cosine of the vectors of target and prompt, -1 to 1; high is good. None where the prompt is empty.

    CLIPScore without its factor (Hessel et al. 2021, eq. 1).
    """

    column: ClassVar[str] = "text_alignment"
    reads: ClassVar[tuple[str, ...]] = ("text",)

    def score(self, trio: Trio) -> float | None:
        """Return the cosine."""
        return None if trio.prompt is None else float(trio.target.seen["text"] @ trio.prompt)
