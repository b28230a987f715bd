"""Drawing for a bench: a checkpoint with its encoders in memory, or a baseline that hands back an image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import torch
from PIL import Image
from torch import Tensor

from uso.bench.settings import DrawSettings
from uso.bench.system import Checkpoint, System
from uso.conditioning import open_image
from uso.images import Size, fit_target
from uso.painter import Painter, Parts
from uso.projector import StyleFeatures
from uso.sampler import Drawing
from uso.velocity import Conditions

_KEPT = 512
"""Images of each kind whose encodings stay in memory."""

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
    """A painter that remembers what it was shown: encodings of reference images are kept for reuse.

    Style images are left out for a network without a projector. Raises CheckpointError or EncoderError naming the file
    that does not load.
    """

    def __init__(self, checkpoint: Checkpoint, settings: DrawSettings, device: str = "cpu") -> None:
        self._checkpoint, self._settings = checkpoint, settings
        parts = Parts(
            base=Path(checkpoint.base),
            t5=checkpoint.t5,
            clip=checkpoint.clip,
            vae=checkpoint.vae,
            lora=None if checkpoint.lora is None else Path(checkpoint.lora),
            projector=None if checkpoint.projector is None else Path(checkpoint.projector),
            vision=checkpoint.vision if checkpoint.reads_styles else None,
            style_layers=checkpoint.style_layers,
            text_length=checkpoint.text_length,
        )
        self._painter = Painter(parts, dtype=getattr(torch, settings.dtype), device=device)
        self._content = lru_cache(maxsize=_KEPT)(self._encode_content)
        self._style = lru_cache(maxsize=_KEPT)(self._encode_style)

    def draw(self, orders: Sequence[Order]) -> list[Image.Image]:
        """Return the pictures."""
        against = None if self._settings.cfg_scale == 1 else self._painter.conditions("")
        drawings = [Drawing(self._conditions(order), order.size, order.seed, against) for order in orders]
        latents = self._painter.draw(drawings, self._settings.sampler(self._checkpoint.id_shift))
        return [self._painter.picture(latent) for latent in latents]

    def _conditions(self, order: Order) -> Conditions:
        contents = [] if order.content is None else [order.content]
        contents += order.styles if self._checkpoint.styles_as_contents else ()
        styles = order.styles if self._painter.reads_styles else ()
        return self._painter.conditions(
            order.prompt, [self._content(path) for path in contents], [self._style(path) for path in styles]
        )

    def _encode_content(self, path: Path) -> Tensor:
        return self._painter.content(open_image(path), self._settings.content_side, posterior_seed=_CONTENT_SEED)

    def _encode_style(self, path: Path) -> StyleFeatures:
        return self._painter.style(open_image(path))


def load_artist(system: System, settings: DrawSettings, device: str = "cpu") -> Artist:
    """Return the artist of a system, its weights loaded."""
    if system.checkpoint is None:
        return BaselineArtist(system)
    return CheckpointArtist(system.checkpoint, settings, device)
