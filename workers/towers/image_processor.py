"""A transformers model's own preprocessing."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from transformers import AutoImageProcessor

from uso.encoders import reported, split_source
from workers.towers.base import Pixels, writable


class ImageProcessor:
    """Resizes, crops and normalises images as the model's `preprocessor_config.json` says.

    Raises EncoderError where there is none.
    """

    def __init__(self, source: str) -> None:
        name, subfolder = split_source(source)
        with reported(source):
            self._processor = AutoImageProcessor.from_pretrained(name, subfolder=subfolder)

    def __call__(self, images: Sequence[Pixels]) -> Tensor:
        """Return images `[height, width, 3]` of any sizes as `[n, 3, side, side]` float32."""
        pixels: Tensor = self._processor(
            images=writable(images), return_tensors="pt", input_data_format="channels_last"
        ).pixel_values
        return pixels
