"""Style images as hidden states of a frozen vision tower (SigLIP so400m-patch14-384 in USO)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from PIL import Image
from transformers import AutoConfig, AutoImageProcessor, AutoModel, CLIPVisionModel, SiglipVisionModel

from uso.encoders import EncoderError, FrozenEncoder, load_pretrained, reported, split_source
from uso.images import flatten
from uso.nano.vision import NanoVision, is_nano
from uso.presets import StyleShape
from uso.projector import StyleFeatures

_VISION_HALF = {
    "siglip": SiglipVisionModel,
    "siglip_vision_model": SiglipVisionModel,
    "clip": CLIPVisionModel,
    "clip_vision_model": CLIPVisionModel,
}
"""Models of two towers, of which the vision half is taken; any other is loaded whole."""


class VisionTower(FrozenEncoder):
    """A vision tower that gives the hidden states of three of its layers."""

    def __init__(self, model: Any, processor: Any, source: str, layers: tuple[int, int, int]) -> None:
        super().__init__(model, source)
        self.processor = processor
        self.layers = layers

    @classmethod
    def load(
        cls,
        source: str,
        *,
        dtype: torch.dtype,
        device: torch.device | str = "cpu",
        layers: tuple[int, int, int] = StyleShape().layers,
    ) -> VisionTower:
        """Load from a folder or hub name (`//subfolder` after it); `layers` index the hidden states, highest first."""
        name, subfolder = split_source(source)
        with reported(source):
            kind = AutoConfig.from_pretrained(name, subfolder=subfolder).model_type
            processor = AutoImageProcessor.from_pretrained(name, subfolder=subfolder)
        model = load_pretrained(_VISION_HALF.get(kind, AutoModel), source, dtype, device)
        return cls(model, processor, source, layers)

    @property
    def settings(self) -> tuple[object, ...]:
        """Return the layers that are read, and how images are brought to the tower."""
        return self.layers, self.processor.to_json_string()

    @torch.no_grad()
    def encode(self, images: Sequence[Image.Image]) -> StyleFeatures:
        """Return the hidden states `[images, tokens, width]` of the three layers.

        Raises EncoderError when the tower is not as deep as the layers ask.
        """
        pixels = self.processor(images=[flatten(image) for image in images], return_tensors="pt").pixel_values
        states = self.model(pixels.to(self.device, self.dtype), output_hidden_states=True).hidden_states
        try:
            return StyleFeatures(*(states[layer] for layer in self.layers))
        except IndexError as error:
            raise EncoderError(
                f"{self.source}: has {len(states)} hidden states, but the style layers are {self.layers}"
            ) from error


def load_vision(
    source: str,
    *,
    dtype: torch.dtype,
    device: torch.device | str = "cpu",
    layers: tuple[int, int, int] = StyleShape().layers,
) -> VisionTower | NanoVision:
    """Load what style images go through: the nano tower (`nano`, `nano:FILE.safetensors`), or any vision tower.

    `layers` are those of a vision tower of transformer layers; the nano tower always gives its last three stages.
    Raises EncoderError when it is not there or does not load.
    """
    if is_nano(source):
        return NanoVision.load(source, dtype=dtype, device=device)
    return VisionTower.load(source, dtype=dtype, device=device, layers=layers)
