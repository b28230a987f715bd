"""Whether the content reference looks like a photograph."""

from __future__ import annotations

from typing import ClassVar

import numpy as np

from workers.scorers.base import Scorer, Trio, Vector


class Photorealism(Scorer):
    """Cosine of the content reference to photographs, less that to artworks, -2 to 2; high is good.

    Each side is one vector: the mean of its texts' vectors, brought to unit length (prompt ensembling: Radford et al.
    2021, section 3.1.4). It is a difference of cosines, not a softmax, so that it does not saturate; for CLIP most
    values lie within 0.1 of zero.
    """

    column: ClassVar[str] = "photorealism"
    reads: ClassVar[tuple[str, ...]] = ("photorealism",)

    def __init__(self, photographs: Vector, artworks: Vector) -> None:
        self._direction = _mean(photographs) - _mean(artworks)

    def score(self, trio: Trio) -> float:
        """Return the difference."""
        return float(trio.content.seen["photorealism"] @ self._direction)


def _mean(vectors: Vector) -> Vector:
    mean = vectors.mean(axis=0)
    return np.asarray(mean / np.linalg.norm(mean), dtype=np.float32)
