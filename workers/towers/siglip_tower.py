"""The vision tower of SigLIP (Zhai et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from transformers import SiglipVisionModel

from uso.encoders import load_pretrained
from workers.towers.base import Pixels, TorchTower
from workers.towers.image_processor import ImageProcessor
from workers.towers.settings import SiglipSettings


class SiglipTower(TorchTower):
    """The pooled output of SigLIP's attention head; SigLIP 2 in its fixed-resolution form loads as well.

    Raises EncoderError where the folder or hub name holds no such model.
    """

    def __init__(self, settings: SiglipSettings, *, source: str, digest: str, device: str = "cpu") -> None:
        super().__init__(
            digest=digest, device=device, dtype=settings.dtype, batch=settings.batch, threads=settings.threads
        )
        dtype = getattr(torch, settings.dtype)
        self._model = load_pretrained(SiglipVisionModel, source, dtype, device).eval().requires_grad_(False)
        self._processor = ImageProcessor(source)

    def prepare(self, images: Sequence[Pixels]) -> Tensor:
        """Return images resized and normalised by the model's own processor."""
        return self._processor(images)

    def encode(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the pooled outputs."""
        return (self._model(pixel_values=inputs).pooler_output,)
