"""Drawing for a bench: a checkpoint with its encoders in memory, or a baseline that hands back an image."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

import torch
from PIL import Image
from torch import Tensor

from uso.bench.settings import DrawSettings
from uso.bench.system import Checkpoint, System
from uso.checkpoint import load_network, require_fit
from uso.conditioning import open_image
from uso.images import Size, fit_content, fit_target
from uso.latents import LatentCodec
from uso.presets import StyleShape
from uso.projector import StyleFeatures
from uso.sampler import Drawing, draw_each
from uso.text import CLIPTextEncoder, T5Encoder
from uso.velocity import Conditions
from uso.vision import load_vision

Value = TypeVar("Value")

_KEPT = 512
"""Prompts and images of each kind whose encodings stay in memory."""

_CONTENT_SEED = 0
"""Seed of the draw of a content reference's latent: one for all, as `triptych sample` does."""


@dataclass(frozen=True)
class Order:
    """One picture to be drawn: prompt, images by their files, size in pixels, seed of the noise."""

    prompt: str
    content: Path | None
    styles: tuple[Path, ...]
    truth: Path | None
    size: Size
    seed: int


class Artist(Protocol):
    """Draws pictures; what comes out of an order depends on the order alone."""

    def draw(self, orders: Sequence[Order]) -> list[Image.Image]:
        """Return one RGB picture an order, of the order's size; the orders of a call are alike in sizes and styles."""


class BaselineArtist:
    """Hands back the content reference, the first style reference or the truth, brought to the size asked for.

    `can` tells which orders have such an image.
    """

    def __init__(self, system: System) -> None:
        self._baseline = system.baseline

    def can(self, order: Order) -> bool:
        """Return whether the image is there."""
        return self._source(order) is not None

    def draw(self, orders: Sequence[Order]) -> list[Image.Image]:
        """Return the images. Raises ValueError for an order without one."""
        pictures = []
        for order in orders:
            source = self._source(order)
            if source is None:
                raise ValueError(f"{self._baseline}: the item {order.prompt!r} has no such image")
            pictures.append(fit_target(open_image(source), order.size))
        return pictures

    def _source(self, order: Order) -> Path | None:
        if self._baseline == "copy-content":
            return order.content
        if self._baseline == "copy-style":
            return order.styles[0] if order.styles else None
        return order.truth


class CheckpointArtist:
    """A network and its encoders, all in memory at once; encodings of prompts and images are kept for reuse.

    Style images are left out for a network without a projector. Raises CheckpointError or EncoderError naming the file
    that does not load.
    """

    def __init__(self, checkpoint: Checkpoint, settings: DrawSettings, device: str = "cpu") -> None:
        self._checkpoint, self._settings = checkpoint, settings
        dtype = getattr(torch, settings.dtype)
        base, lora, projector = (
            None if source is None else Path(source)
            for source in (checkpoint.base, checkpoint.lora, checkpoint.projector)
        )
        assert base is not None
        require_fit(base, lora, projector)
        self._network = load_network(
            base,
            lora=lora,
            projector=projector,
            style=StyleShape(layers=checkpoint.style_layers),
            dtype=dtype,
            device=device,
        )
        self._t5 = T5Encoder.load(checkpoint.t5, dtype=dtype, device=device, length=checkpoint.text_length)
        self._clip = CLIPTextEncoder.load(checkpoint.clip, dtype=dtype, device=device)
        self._codec = LatentCodec.load(checkpoint.vae, dtype=dtype, device=device)
        self._vision = None
        if checkpoint.reads_styles:
            self._vision = load_vision(checkpoint.vision, dtype=dtype, device=device, layers=checkpoint.style_layers)
        self._prompts: OrderedDict[str, tuple[Tensor, Tensor]] = OrderedDict()
        self._contents: OrderedDict[Path, Tensor] = OrderedDict()
        self._styles: OrderedDict[Path, StyleFeatures] = OrderedDict()

    def draw(self, orders: Sequence[Order]) -> list[Image.Image]:
        """Return the pictures; a batch that is not full is filled up, so that kernels see one shape only."""
        against = None if self._settings.cfg_scale == 1 else Conditions(*_kept(self._prompts, "", self._encode_prompt))
        drawings = [Drawing(self._conditions(order), order.size, order.seed, against) for order in orders]
        missing = -len(drawings) % self._settings.batch
        filled = [*drawings, *drawings[-1:] * missing]
        latents = dict(draw_each(self._network, filled, self._settings.sampler(self._checkpoint.id_shift)))
        return [self._codec.decode_images(latents[index])[0] for index in range(len(orders))]

    def _conditions(self, order: Order) -> Conditions:
        text, pooled = _kept(self._prompts, order.prompt, self._encode_prompt)
        given = [] if order.content is None else [order.content]
        given += order.styles if self._checkpoint.styles_as_contents else ()
        contents = tuple(_kept(self._contents, path, self._encode_content) for path in given)
        styles = order.styles if self._vision is not None else ()
        features = tuple(_kept(self._styles, style, self._encode_style) for style in styles)
        return Conditions(text, pooled, contents, features)

    def _encode_prompt(self, prompt: str) -> tuple[Tensor, Tensor]:
        return self._t5.encode([prompt]).cpu(), self._clip.encode([prompt]).cpu()

    def _encode_content(self, path: Path) -> Tensor:
        generator = torch.Generator(self._codec.device).manual_seed(_CONTENT_SEED)
        fitted = fit_content(open_image(path), self._settings.content_side)
        return self._codec.encode_image(fitted, generator=generator).cpu()

    def _encode_style(self, path: Path) -> StyleFeatures:
        assert self._vision is not None
        return StyleFeatures(*(level.cpu() for level in self._vision.encode([open_image(path)])))


def load_artist(system: System, settings: DrawSettings, device: str = "cpu") -> Artist:
    """Return the artist of a system, its weights loaded."""
    if system.checkpoint is None:
        return BaselineArtist(system)
    return CheckpointArtist(system.checkpoint, settings, device)


Key = TypeVar("Key", str, Path)


def _kept(store: OrderedDict[Key, Value], key: Key, make: Callable[[Key], Value]) -> Value:
    if key not in store:
        store[key] = make(key)
        if len(store) > _KEPT:
            store.popitem(last=False)
    store.move_to_end(key)
    return store[key]
