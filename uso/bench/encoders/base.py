"""The contract of a metric's encoder: images in, unit vectors out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

Vectors = NDArray[np.float32]
"""Unit vectors, `[n, width]`."""

BATCH = 16
"""Images that go through at once. Smaller batches are filled up, so a vector does not depend on its company."""


class ImageEncoder(Protocol):
    """A frozen encoder of images."""

    def embed(self, images: Sequence[Image.Image]) -> Vectors:
        """Return a unit vector for each image, of any sizes."""


def in_batches(inputs: Tensor, encode: Callable[[Tensor], Tensor]) -> Vectors:
    """Return unit vectors `[n, width]` of inputs `[n, ...]`, encoded in batches of one size."""
    parts = []
    with torch.inference_mode():
        for start in range(0, len(inputs), BATCH):
            part = inputs[start : start + BATCH]
            filled = torch.cat([part, part[-1:].expand(BATCH - len(part), *part.shape[1:])])
            vectors = encode(filled).float()[: len(part)]
            parts.append(torch.nn.functional.normalize(vectors, dim=1).cpu().numpy())
    return np.concatenate(parts).astype(np.float32, copy=False)
