"""DINOv2 (Oquab et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from uso.bench.encoders.dino import DinoEncoder
from workers.towers.base import Pixels, TorchTower, writable
from workers.towers.settings import Dinov2Settings


class Dinov2Tower(TorchTower):
    """The class token of the last layer, by the encoder that the bench measures with.

    Raises EncoderError where the folder or hub name holds no such model.
    """

    def __init__(self, settings: Dinov2Settings, *, source: str, digest: str, device: str = "cpu") -> None:
        super().__init__(
            digest=digest, device=device, dtype=settings.dtype, batch=settings.batch, threads=settings.threads
        )
        self._encoder: Any = DinoEncoder(source, device, dtype=settings.dtype)

    def prepare(self, images: Sequence[Pixels]) -> Tensor:
        """Return images resized, cropped and normalised by the model's own processor."""
        prepared: Tensor = self._encoder.prepare(writable(images))
        return prepared

    def encode(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the class tokens."""
        return (self._encoder.class_tokens(inputs),)
