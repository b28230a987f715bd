"""DINO (Caron et al. 2021) and DINOv2 (Oquab et al. 2023) for subject similarity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from torch import Tensor
from transformers import AutoConfig, AutoImageProcessor, AutoModel, ViTModel

from uso.bench.encoders.base import Vectors, in_batches
from uso.encoders import FrozenEncoder, load_pretrained, reported, split_source
from uso.images import flatten


class _PlainViT:
    """A ViT without the pooling layer, which DINO's release has not."""

    @staticmethod
    def from_pretrained(name: str, **options: Any) -> Any:
        """Return what `ViTModel.from_pretrained` does."""
        return ViTModel.from_pretrained(name, add_pooling_layer=False, **options)


class DinoEncoder(FrozenEncoder):
    """The class token of the last layer. DreamBooth measures with `facebook/dino-vits16`."""

    def __init__(self, source: str, device: str = "cpu", *, dtype: str = "float32") -> None:
        name, subfolder = split_source(source)
        with reported(source):
            kind = AutoConfig.from_pretrained(name, subfolder=subfolder).model_type
            self._processor = AutoImageProcessor.from_pretrained(name, subfolder=subfolder)
        model_class = _PlainViT if kind == "vit" else AutoModel
        super().__init__(load_pretrained(model_class, source, getattr(torch, dtype), device), source)

    def embed(self, images: Sequence[Image.Image]) -> Vectors:
        """Return the class tokens of images."""
        pixels = self.prepare([flatten(image) for image in images])
        return in_batches(pixels.to(self.device), self.class_tokens)

    def prepare(self, images: Sequence[Any]) -> Tensor:
        """Return RGB images (PIL, or arrays `[height, width, 3]`) as the model takes them, `[n, 3, side, side]`."""
        layout = {} if isinstance(images[0], Image.Image) else {"input_data_format": "channels_last"}
        pixels: Tensor = self._processor(images=list(images), return_tensors="pt", **layout).pixel_values
        return pixels

    def class_tokens(self, pixels: Tensor) -> Tensor:
        """Return the class token of the last layer, `[n, width]`, of what `prepare` gives."""
        tokens: Tensor = self.model(pixel_values=pixels).last_hidden_state
        return tokens[:, 0]
