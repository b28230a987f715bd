"""Requests turned into conditions: each encoder is loaded, used for all of them, and released before the next."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from uso.encoders import FrozenEncoder
from uso.images import CONTENT_LONG_SIDE, fit_content
from uso.latents import LatentCodec
from uso.nano.vision import NanoVision
from uso.projector import StyleFeatures
from uso.tasks import SampleRequest
from uso.text import CLIPTextEncoder, T5Encoder
from uso.velocity import Conditions
from uso.vision import VisionTower

Encoder = TypeVar("Encoder", bound=FrozenEncoder)
Key = TypeVar("Key")
Value = TypeVar("Value")


@dataclass(frozen=True)
class Encoders:
    """How to load each frozen encoder; each is called once, when it is needed.

    `vision` may be None when no request has a style image.
    """

    t5: Callable[[], T5Encoder]
    clip: Callable[[], CLIPTextEncoder]
    codec: Callable[[], LatentCodec]
    vision: Callable[[], VisionTower | NanoVision] | None = None


def encode_requests(
    requests: Sequence[SampleRequest],
    encoders: Encoders,
    *,
    long_side: int = CONTENT_LONG_SIDE,
    posterior_seed: int | None = None,
    on_stage: Callable[[str], None] | None = None,
) -> list[Conditions]:
    """Return the conditions of each request, single samples on the CPU in the encoders' dtypes.

    No two encoders are in memory at once, and equal prompts and images are encoded once and shared in memory. Content
    references are fitted to `long_side` and encoded to the posterior's mean, or, with `posterior_seed`, to a draw from
    it, as upstream does. Raises EncoderError or ValueError, naming the source or the image at fault.
    """
    prompts = list(dict.fromkeys(request.prompt for request in requests))
    contents = list(dict.fromkeys(request.content for request in requests if request.content is not None))
    styles = list(dict.fromkeys(style for request in requests for style in request.styles))

    def stage(name: str) -> None:
        if on_stage is not None:
            on_stage(name)

    stage("T5 text encoder")
    text = _encode_each(encoders.t5(), lambda encoder, prompt: encoder.encode([prompt]).cpu(), prompts)
    stage("CLIP text encoder")
    pooled = _encode_each(encoders.clip(), lambda encoder, prompt: encoder.encode([prompt]).cpu(), prompts)
    stage("autoencoder")

    def encode_content(codec: LatentCodec, path: Path) -> Tensor:
        generator = None
        if posterior_seed is not None:
            generator = torch.Generator(codec.device).manual_seed(posterior_seed)
        return codec.encode_image(fit_content(open_image(path), long_side), generator=generator).cpu()

    # Loaded even without a content reference: images that cannot be decoded should not be drawn first.
    latents = _encode_each(encoders.codec(), encode_content, contents)

    def encode_style(tower: VisionTower | NanoVision, path: Path) -> StyleFeatures:
        return StyleFeatures(*(level.cpu() for level in tower.encode([open_image(path)])))

    features: dict[Path, StyleFeatures] = {}
    if styles:
        if encoders.vision is None:
            raise ValueError("style images need a vision tower")
        stage("vision tower")
        features = _encode_each(encoders.vision(), encode_style, styles)
    return [
        Conditions(
            text=text[request.prompt],
            pooled=pooled[request.prompt],
            contents=() if request.content is None else (latents[request.content],),
            styles=tuple(features[style] for style in request.styles),
        )
        for request in requests
    ]


def open_image(path: Path) -> Image.Image:
    """Return an image with its pixels loaded. Raises ValueError naming the file when it is none, or is cut short."""
    try:
        with Image.open(path) as image:
            image.load()
            return image.copy()
    except FileNotFoundError as error:
        raise ValueError(f"{path}: no such image") from error
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: cannot be read as an image ({error})") from error


def _encode_each(encoder: Encoder, encode: Callable[[Encoder, Key], Value], keys: Sequence[Key]) -> dict[Key, Value]:
    try:
        return {key: encode(encoder, key) for key in keys}
    finally:
        encoder.release()
