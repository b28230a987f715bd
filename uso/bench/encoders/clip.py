"""CLIP (Radford et al. 2021) for CLIP-I and CLIP-T."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from PIL import Image
from torch import Tensor
from transformers import AutoImageProcessor, CLIPModel

from uso.bench.encoders.base import Vectors, in_batches
from uso.encoders import FrozenEncoder, load_pretrained, reported, split_source
from uso.images import flatten
from uso.text import load_tokenizer, tokenize


class ClipEncoder(FrozenEncoder):
    """Both towers of a CLIP, with their projections. The usual choice is `openai/clip-vit-base-patch32`."""

    def __init__(self, source: str, device: str = "cpu") -> None:
        super().__init__(load_pretrained(CLIPModel, source, torch.float32, device), source)
        name, subfolder = split_source(source)
        with reported(source):
            self._processor = AutoImageProcessor.from_pretrained(name, subfolder=subfolder)
        self._tokenizer = load_tokenizer(source)

    def embed(self, images: Sequence[Image.Image]) -> Vectors:
        """Return the projected vectors of images."""
        pixels = self._processor(images=[flatten(image) for image in images], return_tensors="pt").pixel_values
        return in_batches(pixels.to(self.device), self._image_vectors)

    def embed_texts(self, prompts: Sequence[str]) -> Vectors:
        """Return the projected vectors of prompts, cut to the tower's length."""
        length = self.model.config.text_config.max_position_embeddings
        tokens = tokenize(self._tokenizer, prompts, length, self.source)
        return in_batches(tokens.to(self.device), self._text_vectors)

    def _image_vectors(self, pixels: Tensor) -> Tensor:
        pooled = self.model.vision_model(pixel_values=pixels).pooler_output
        projected: Tensor = self.model.visual_projection(pooled)
        return projected

    def _text_vectors(self, tokens: Tensor) -> Tensor:
        pooled = self.model.text_model(input_ids=tokens).pooler_output
        projected: Tensor = self.model.text_projection(pooled)
        return projected
