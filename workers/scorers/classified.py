"""What an image classifier makes of the target."""

from __future__ import annotations

from typing import ClassVar

from workers.scorers.base import Scorer, Trio


class Nsfw(Scorer):
    """Probability that the target is not safe for work, 0 to 1, by the classifier and label of the spec."""

    column: ClassVar[str] = "nsfw"
    reads: ClassVar[tuple[str, ...]] = ("nsfw",)

    def score(self, trio: Trio) -> float:
        """Return the probability."""
        return float(trio.target.seen["nsfw"][0])


class Watermark(Scorer):
    """Probability that the target has a watermark, 0 to 1, by the classifier and label of the spec."""

    column: ClassVar[str] = "watermark"
    reads: ClassVar[tuple[str, ...]] = ("watermark",)

    def score(self, trio: Trio) -> float:
        """Return the probability."""
        return float(trio.target.seen["watermark"][0])
