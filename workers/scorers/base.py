"""The contract of a scorer, and what it is given."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Vector = NDArray[np.float32]


@dataclass(frozen=True)
class View:
    """One image of a candidate with its embeddings: pixels `[height, width, 3]` sRGB, both vectors of unit length.

    `seen` holds what further models made of the image, by the name under which a scorer reads it.
    """

    pixels: Pixels
    style: Vector
    subject: Vector
    seen: Mapping[str, Vector] = field(default_factory=dict)


@dataclass(frozen=True)
class Trio:
    """The three images of a candidate, and nothing else: a scorer cannot see labels, seeds or the truth.

    `prompt` is the unit vector of the target's prompt; None where the prompt is empty, or nothing reads it.
    """

    target: View
    style: View
    content: View
    prompt: Vector | None = None


@dataclass(frozen=True)
class Found:
    """What a scorer found: its score, or None where it has no meaning for the candidate, and evidence by column."""

    score: float | None
    evidence: Mapping[str, str] = field(default_factory=dict)


class Scorer(ABC):
    """Measures one number about a candidate; what number is good is the policy's business.

    A scorer that cannot measure raises ValueError with the cause; the row is then rejected as
    `scorer_failed:<column>` and its score stays null. `reads` names the embeddings that it needs.
    """

    column: ClassVar[str]
    reads: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def score(self, trio: Trio) -> float | None:
        """Return the score of one candidate, a finite number; None where it has no meaning for the candidate."""

    def find(self, trio: Trio) -> Found:
        """Return the score with what it rests on, where there is something to name."""
        return Found(self.score(trio))
