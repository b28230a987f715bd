"""Everything random about one sample, drawn from (seed, pass, sample id): the world size changes none of it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Reference = Literal["content", "style"]


@dataclass(frozen=True)
class Draws:
    """The random draws of one sample in one pass over its source.

    A draw depends on its own purpose too, so that adding one leaves the others as they were.
    """

    seed: int
    number: int
    sample: str

    def uniform(self, purpose: str) -> float:
        """Return a number in [0, 1), with 53 random bits."""
        return (self._word(purpose) >> 11) / 2**53

    def normal(self, purpose: str, size: tuple[int, ...]) -> Tensor:
        """Return standard normal numbers, float32 on the CPU: the same whatever the device of the training."""
        generator = torch.Generator().manual_seed(self._word(purpose) >> 1)
        return torch.randn(size, generator=generator)

    def drops_prompt(self, share: float) -> bool:
        """Return whether the prompt is replaced by the empty one (UNO drops a tenth)."""
        return self.uniform("prompt") < share

    def dropped_reference(self, share: float) -> Reference | None:
        """Return which of two references is left out, if one is: each in half of `share` of all draws."""
        draw = self.uniform("reference")
        if draw >= share:
            return None
        return "content" if draw < share / 2 else "style"

    def _word(self, purpose: str) -> int:
        text = f"{self.seed}/{self.number}/{self.sample}/{purpose}"
        return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")
