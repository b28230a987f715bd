"""Whether the target is, or nearly is, an image that models will be evaluated on."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from workers.scorers.base import Found, Scorer, Trio
from workers.scorers.copy_paste import hash_bits
from workers.scorers.references import Evaluation


class Contamination(Scorer):
    """Similarity of the target to the nearest evaluation image, 0 to 1; low is good. `contaminates` names that image.

    The larger of two similarities: by the 256-bit perceptual hash, twice the share of equal bits less one (copies 1,
    unrelated images about 0), and by the cosine of the subject vectors; negative ones count as 0.
    """

    column: ClassVar[str] = "contamination"
    reads: ClassVar[tuple[str, ...]] = ("subject",)

    def __init__(self, evaluation: Evaluation) -> None:
        self._evaluation = evaluation

    def score(self, trio: Trio) -> float | None:
        """Return the similarity."""
        return self.find(trio).score

    def find(self, trio: Trio) -> Found:
        """Return the similarity and the path of the image."""
        by_hash = 2 * (self._evaluation.hashes == hash_bits(trio.target.pixels)).mean(axis=1) - 1
        by_subject = self._evaluation.subjects @ trio.target.subject
        nearness = np.clip(np.maximum(by_hash, by_subject), 0, 1)
        nearest = int(nearness.argmax())
        return Found(float(nearness[nearest]), {"contaminates": self._evaluation.names[nearest]})
