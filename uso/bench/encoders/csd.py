"""CSD (Somepalli et al. 2024) for style similarity."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from uso.bench.encoders.base import Vectors
from uso.images import image_tensor
from uso.training.reward.csd import CSDShape, CSDStyleScorer


class CsdEncoder:
    """CSD's style vectors, by the network that rewards style in training.

    Images are of any sizes and go through one by one. Raises ValueError where the file is not CSD in safetensors.
    """

    def __init__(self, weights: Path, device: str = "cpu", shape: CSDShape | None = None) -> None:
        self._scorer = CSDStyleScorer.load(weights, device=device, shape=shape)
        self._device = device

    def embed(self, images: Sequence[Image.Image]) -> Vectors:
        """Return the style vectors of images."""
        with torch.inference_mode():
            vectors = [self._scorer.embed(image_tensor(image).to(self._device)).cpu().numpy() for image in images]
        return np.concatenate(vectors).astype(np.float32, copy=False)
