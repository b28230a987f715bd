"""The contract of a style scorer: images in, unit vectors out, with gradients all the way."""

from __future__ import annotations

from typing import Protocol

from torch import Tensor


class StyleScorer(Protocol):
    """A frozen encoder whose vectors say how an image is made, and what it shows.

    Images are `[B, 3, h, w]` in -1..1, of any size; gradients flow from the vectors back to their pixels. The reward is
    the cosine of two style vectors; the subject's only watches that content is not lost, and is never rewarded.
    """

    @property
    def digest(self) -> str:
        """Return the sha256 of the weights, in hexadecimal."""

    def embed(self, images: Tensor) -> Tensor:
        """Return style vectors `[B, width]` of unit length."""

    def subject(self, images: Tensor) -> Tensor:
        """Return subject vectors `[B, width]` of unit length."""
