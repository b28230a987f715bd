"""The nano encoder as everything else uses it: images in, two unit vectors out."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from manifests.identities import digest_of_file
from uso.nano.tower import NanoTower
from uso.nano.weights import SHIPPED, load_tower
from workers.encoders.preprocess import Pixels, to_square

_BATCH = 16


class NanoEncoder:
    """A fitted tower with its weights loaded.

    Images go through in batches of one fixed size, so an image's vectors do not depend on what it is embedded with.
    Raises ValueError where the file is not the weights of a tower.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or SHIPPED
        self._tower = load_tower(self._path)
        self._digest: str | None = None

    @property
    def digest(self) -> str:
        """Return the sha256 of the weights file, in hexadecimal."""
        if self._digest is None:
            self._digest = digest_of_file(self._path)
        return self._digest

    @property
    def width(self) -> int:
        """Return the width of the vectors."""
        return self._tower.shape.width

    def embed(self, images: Sequence[Pixels]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return `(style, subject)`, each `[n, width]` float32 of unit length, of sRGB images of any sizes."""
        return embed_with(self._tower, images)


def embed_with(tower: NanoTower, images: Sequence[Pixels]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return `(style, subject)`, each `[n, width]` float32, of images under a tower in evaluation mode."""
    side, width = tower.shape.side, tower.shape.width
    vectors = np.empty((2, len(images), width), np.float32)
    batch = np.zeros((_BATCH, side, side, 3), np.uint8)
    with torch.inference_mode():
        for start in range(0, len(images), _BATCH):
            part = images[start : start + _BATCH]
            for place, pixels in enumerate(part):
                batch[place] = to_square(pixels, side)
            ready = torch.from_numpy(batch).permute(0, 3, 1, 2).float() / 255
            for kind, embedded in enumerate(tower(ready.contiguous(memory_format=torch.channels_last))):
                vectors[kind, start : start + len(part)] = embedded[: len(part)].numpy()
    return vectors[0], vectors[1]
