"""A checkpoint with its encoders, loaded once, that draws what it is asked for in batches."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from uso.images import Size
from uso.painter import Painter, Parts
from uso.sampler import Drawing, SampleSettings, plan_batches
from uso.velocity import Conditions
from workers.experts.base import ExpertFailure, Pixels
from workers.experts.uso.files import part_of
from workers.experts.uso.settings import UsoSettings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Order:
    """One image to draw: its prompt, its references, its size in pixels (multiples of 16) and its seed."""

    prompt: str
    size: Size
    seed: int
    content: Pixels | None = None
    style: Pixels | None = None


class UsoModel:
    """The painter of an expert, which gives a row that cannot be drawn a reason.

    An image depends on its order alone, to the bit. A batch that does not fit into memory is halved for good, which may
    change the last bit of a pixel. Raises ValueError (CheckpointError, EncoderError) on files that do not load or do
    not go together.
    """

    def __init__(self, settings: UsoSettings, device: str = "cpu") -> None:
        self._settings = settings
        self._batch = settings.batch
        parts = Parts(
            base=Path(part_of(settings, "transformer")),
            t5=part_of(settings, "text_encoder_2"),
            clip=part_of(settings, "text_encoder"),
            vae=part_of(settings, "vae"),
            lora=settings.lora,
            projector=settings.projector,
            vision=settings.vision if settings.reads_style else None,
            style_layers=settings.style_layers,
            text_length=settings.text_length,
        )
        self._painter = Painter(parts, dtype=getattr(torch, settings.dtype), device=device)

    @torch.no_grad()
    def draw(self, orders: Sequence[Order]) -> list[Pixels | ExpertFailure]:
        """Return the image `[height, width, 3]` of each order, or why there is none."""
        made: dict[int, Pixels | ExpertFailure] = {}
        drawings: dict[int, Drawing] = {}
        for number, order in enumerate(orders):
            try:
                against = self._painter.conditions("") if self._settings.cfg_scale != 1 else None
                drawings[number] = Drawing(self._conditions(order), order.size, order.seed, against)
            except ValueError as error:
                made[number] = ExpertFailure("not_encoded", str(error))
            except RuntimeError as error:
                made[number] = _out_of_memory(error)
        numbers = list(drawings)
        for batch in plan_batches(list(drawings.values()), self._batch):
            chosen = [numbers[place] for place in batch]
            made |= zip(chosen, self._draw_batch([drawings[number] for number in chosen]), strict=True)
        return [made[number] for number in range(len(orders))]

    def _draw_batch(self, drawings: Sequence[Drawing]) -> list[Pixels | ExpertFailure]:
        """Draw images of one size and layout of conditions, in halves where memory does not hold them."""
        size = self._batch  # a part that does not fit makes it smaller, and is itself drawn in smaller ones
        if len(drawings) > size:
            parts = [drawings[start : start + size] for start in range(0, len(drawings), size)]
            return [made for part in parts for made in self._draw_batch(part)]
        try:
            latents = self._painter.draw(drawings, self._sampling())
        except RuntimeError as error:
            failure = _out_of_memory(error)
            if self._batch == 1:
                return [failure] * len(drawings)
            self._batch = max(1, self._batch // 2)
            logger.warning("%s: out of memory, from now on %d images a batch", self._settings.title, self._batch)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            return self._draw_batch(drawings)
        return [self._decoded(latent) for latent in latents]

    def _sampling(self) -> SampleSettings:
        own = self._settings
        return SampleSettings(
            own.steps, own.guidance, own.shift, own.id_shift, batch_size=self._batch, cfg_scale=own.cfg_scale
        )

    def _decoded(self, latent: Tensor) -> Pixels | ExpertFailure:
        if not latent.isfinite().all():
            return ExpertFailure("not_finite", "the network drew values that are not finite; try another dtype")
        try:
            return np.asarray(self._painter.picture(latent))
        except RuntimeError as error:
            return _out_of_memory(error)

    def _conditions(self, order: Order) -> Conditions:
        contents = [] if order.content is None else [Image.fromarray(order.content)]
        styles = [] if order.style is None else [Image.fromarray(order.style)]
        return self._painter.conditions(
            order.prompt,
            [self._painter.content(image, self._settings.content_side) for image in contents],
            [self._painter.style(image) for image in styles],
        )


def _out_of_memory(error: RuntimeError) -> ExpertFailure:
    """Return the failure of a row for which memory did not suffice. Raises any other error again."""
    if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
        return ExpertFailure("out_of_memory", str(error).splitlines()[0])
    raise error
