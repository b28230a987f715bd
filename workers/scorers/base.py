"""The contract of a scorer, and what it is given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Vector = NDArray[np.float32]


@dataclass(frozen=True)
class View:
    """One image of a candidate with its embeddings: pixels `[height, width, 3]` sRGB, both vectors of unit length."""

    pixels: Pixels
    style: Vector
    subject: Vector


@dataclass(frozen=True)
class Trio:
    """The three images of a candidate, and nothing else: a scorer cannot see labels, seeds or the truth."""

    target: View
    style: View
    content: View


class Scorer(ABC):
    """Measures one number about a candidate; what number is good is the policy's business.

    A scorer that cannot measure raises ValueError with the cause; the row is then rejected as
    `scorer_failed:<column>` and its score stays null.
    """

    column: ClassVar[str]

    @abstractmethod
    def score(self, trio: Trio) -> float:
        """Return the score of one candidate, a finite number."""
