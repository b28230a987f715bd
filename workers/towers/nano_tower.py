"""The nano encoder as a tower."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from workers.encoders.load import NanoEncoder
from workers.towers.base import Pixels, Tower, Vectors
from workers.towers.settings import NanoSettings


class NanoTower(Tower):
    """The nano encoder: one pass gives a vector of style and one of subject, 128 wide in the shipped weights.

    Raises ValueError where the file is not the weights of a nano encoder.
    """

    heads: ClassVar[tuple[str, ...]] = ("style", "subject")
    device = "cpu"
    dtype = "float32"

    def __init__(self, settings: NanoSettings) -> None:
        self._encoder = NanoEncoder(settings.weights)
        self.digest = self._encoder.digest

    def embed_all(self, images: Sequence[Pixels]) -> dict[str, Vectors]:
        """Return the vectors of style and subject, each `[n, width]`."""
        style, subject = self._encoder.embed(images)
        return {"style": style, "subject": subject}
