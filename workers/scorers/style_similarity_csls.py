"""Style similarity, corrected for hubness."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from workers.scorers.base import Scorer, Trio, Vector


class StyleSimilarityCsls(Scorer):
    """Twice the cosine of the style embeddings, less each image's mean cosine to its nearest in a reference bank.

    Cross-domain similarity local scaling (Conneau et al. 2018, eq. 2). Hubs, images near everything, lose what they
    gained by that. Ranges from -4 to 4; 0 means: as near to each other as to their neighbours in the bank.

    `bank` is `[images, width]`, unit rows; `neighbours` is how many of the nearest count. Raises ValueError for a bank
    with fewer rows than that.
    """

    column: ClassVar[str] = "style_similarity_csls"
    reads: ClassVar[tuple[str, ...]] = ("style",)

    def __init__(self, bank: NDArray[np.float32], *, neighbours: int) -> None:
        if len(bank) < neighbours:
            raise ValueError(f"the reference bank has {len(bank)} images, {neighbours} neighbours are asked for")
        self._bank = bank
        self._neighbours = neighbours

    def score(self, trio: Trio) -> float:
        """Return the corrected similarity."""
        cosine = float(trio.target.style @ trio.style.style)
        return 2 * cosine - self._density(trio.target.style) - self._density(trio.style.style)

    def _density(self, vector: Vector) -> float:
        nearest = np.partition(self._bank @ vector, -self._neighbours)[-self._neighbours :]
        return float(nearest.mean())
