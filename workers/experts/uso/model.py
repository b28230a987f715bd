"""A checkpoint with its encoders, loaded once, that draws what it is asked for in batches."""

from __future__ import annotations

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
from workers.batching import OUT_OF_MEMORY, Batches, Spoilt, is_out_of_memory
from workers.experts.base import ExpertFailure, Pixels
from workers.experts.uso.files import part_of
from workers.experts.uso.settings import UsoSettings


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
        self._batches = Batches(settings.title, settings.batch, fills=True)
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
        for batch in plan_batches(list(drawings.values()), self._batches.size):
            chosen = [numbers[place] for place in batch]
            drawn = self._batches.run([drawings[number] for number in chosen], self._draw_batch)
            for number, one in zip(chosen, drawn, strict=True):
                made[number] = ExpertFailure(one.reason, one.detail) if isinstance(one, Spoilt) else one
        return [made[number] for number in range(len(orders))]

    def _draw_batch(self, drawings: Sequence[Drawing]) -> list[Pixels | ExpertFailure]:
        """Draw images of one size and layout of conditions."""
        return [self._decoded(latent) for latent in self._painter.draw(drawings, self._sampling())]

    def _sampling(self) -> SampleSettings:
        own = self._settings
        return SampleSettings(
            own.steps, own.guidance, own.shift, own.id_shift, batch_size=self._batches.size, cfg_scale=own.cfg_scale
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
    if is_out_of_memory(error):
        return ExpertFailure(OUT_OF_MEMORY, str(error).splitlines()[0])
    raise error
