"""Style reward by the nano tower that ships with Triptych."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from manifests.identities import digest_of_file
from uso.nano.square import to_square
from uso.nano.tower import NanoTower
from uso.nano.weights import SHIPPED, load_tower


class NanoStyleScorer:
    """The style and subject heads of a nano tower, differentiable.

    Images are brought to the tower's square as the encoders of `workers` bring theirs, so that a reward here is the
    `style_similarity` that curation would give, but for rounding to 8 bits.
    """

    def __init__(self, tower: NanoTower, digest: str) -> None:
        self.digest = digest
        self._tower = tower.eval().requires_grad_(False)

    @classmethod
    def load(cls, path: Path | None = None, *, device: torch.device | str = "cpu") -> NanoStyleScorer:
        """Load a tower's weights, those that ship unless a file is named.

        Raises FileNotFoundError or ValueError when the file is not there or is no tower.
        """
        path = path or SHIPPED
        return cls(load_tower(path).to(device), digest_of_file(path))

    def embed(self, images: Tensor) -> Tensor:
        """Return style vectors `[B, width]` of unit length, of images `[B, 3, h, w]` in -1..1."""
        return self._vectors(images)[0]

    def subject(self, images: Tensor) -> Tensor:
        """Return subject vectors `[B, width]` of unit length, of images `[B, 3, h, w]` in -1..1."""
        return self._vectors(images)[1]

    def _vectors(self, images: Tensor) -> tuple[Tensor, Tensor]:
        images = images.to(next(self._tower.parameters()))
        with torch.autocast(images.device.type, enabled=False):
            vectors: tuple[Tensor, Tensor] = self._tower(to_square((images + 1) / 2, self._tower.shape.side))
        return vectors
