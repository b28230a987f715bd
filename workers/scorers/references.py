"""What candidates are compared with: the reference bank of CSLS, and the images that a model will be evaluated on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from workers.scorers.base import Pixels
from workers.scorers.copy_paste import hash_bits
from workers.towers.base import Vectors


@dataclass(frozen=True)
class Evaluation:
    """Images that models are evaluated on: names, bits of their perceptual hashes `[n, 256]`, subject vectors."""

    names: tuple[str, ...]
    hashes: NDArray[np.bool_]
    subjects: Vectors

    @classmethod
    def of(cls, names: Sequence[str], images: Sequence[Pixels], subjects: Vectors) -> Evaluation:
        """Return what scoring compares with, of images and their subject vectors."""
        return cls(tuple(names), np.stack([hash_bits(image) for image in images]), subjects)


@dataclass(frozen=True)
class References:
    """What every worker that scores is given: made once a job.

    `towers` holds the digest of the models that the job started with, by purpose, so that a node with other files is
    found out; it is empty where nothing is to be checked.
    """

    bank: Vectors
    evaluation: Evaluation | None = None
    towers: Mapping[str, str] = field(default_factory=dict)
