"""CSD (Somepalli et al. 2024, "Measuring Style Similarity in Diffusion Models")."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor

from uso.training.reward.csd import CSDStyleScorer, clip_pixels
from workers.towers.base import Pixels, TorchTower, TowerError
from workers.towers.settings import CsdSettings


class CsdTower(TorchTower):
    """CSD by the network that rewards style in training: one pass gives a vector of style and one of content.

    CLIP's visual trunk without its projection, two matrices in its place, unit length; images are resized by bicubic
    interpolation and cropped to the centre. All sizes are read from the weights. Raises TowerError where weights are
    missing or unexpected, by name.
    """

    heads: ClassVar[tuple[str, ...]] = ("style", "content")

    def __init__(self, settings: CsdSettings, *, digest: str, device: str = "cpu") -> None:
        super().__init__(
            digest=digest, device=device, dtype=settings.dtype, batch=settings.batch, threads=settings.threads
        )
        try:
            self._scorer = CSDStyleScorer.load(settings.weights, device=device, dtype=getattr(torch, settings.dtype))
        except ValueError as error:
            raise TowerError(str(error)) from error

    def prepare(self, images: Sequence[Pixels]) -> Tensor:
        """Return images as CLIP takes them."""
        side = self._scorer.shape.side
        pixels = [torch.from_numpy(image.copy()).permute(2, 0, 1)[None].float() / 255 for image in images]
        return torch.cat([clip_pixels(each, side) for each in pixels])

    def encode(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Return style and content vectors."""
        return self._scorer.vectors(inputs)
