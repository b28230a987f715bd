"""A checkpoint with its encoders, loaded once, that draws what it is asked for in batches."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from uso.checkpoint import load_network, require_fit
from uso.images import Size, fit_content
from uso.latents import LatentCodec
from uso.presets import StyleShape
from uso.projector import StyleFeatures
from uso.sampler import Drawing, SampleSettings, draw_latents, plan_batches
from uso.text import CLIPTextEncoder, T5Encoder
from uso.velocity import Conditions
from uso.vision import load_vision
from workers.experts.base import ExpertFailure, Pixels
from workers.experts.uso.files import part_of
from workers.experts.uso.settings import UsoSettings

logger = logging.getLogger(__name__)

_PROMPTS_KEPT = 1024


@dataclass(frozen=True)
class Order:
    """One image to draw: its prompt, its references, its size in pixels (multiples of 16) and its seed.

    `second` is a further reference in the content place, behind the content.
    """

    prompt: str
    size: Size
    seed: int
    content: Pixels | None = None
    style: Pixels | None = None
    second: Pixels | None = None


class UsoModel:
    """Network, text encoders, autoencoder and vision tower of an expert, on one device.

    An image depends on its order alone, to the bit: every prompt and reference is encoded alone, and the network
    always sees batches of one size, the last one filled up with copies, since kernels round by the shape that they
    are given. A batch that does not fit into memory is halved for good, which may change the last bit of a pixel.
    Raises ValueError (CheckpointError, EncoderError) on files that do not load or do not go together.
    """

    def __init__(self, settings: UsoSettings, device: str = "cpu") -> None:
        self._settings = settings
        self._batch = settings.batch
        dtype, layers = getattr(torch, settings.dtype), settings.style_layers
        self._t5 = T5Encoder.load(
            part_of(settings, "text_encoder_2"), dtype=dtype, device=device, length=settings.text_length
        )
        self._clip = CLIPTextEncoder.load(part_of(settings, "text_encoder"), dtype=dtype, device=device)
        self._codec = LatentCodec.load(part_of(settings, "vae"), dtype=dtype, device=device)
        self._vision = None
        if settings.reads_style and settings.vision is not None:
            self._vision = load_vision(settings.vision, dtype=dtype, device=device, layers=layers)
        base = Path(part_of(settings, "transformer"))
        require_fit(base, settings.lora, settings.projector)
        # Without style images the projector is never used: the smallest one does.
        style = StyleShape(layers=layers) if settings.projector is not None else StyleShape(1, 1, 1, layers)
        self._network = load_network(
            base, lora=settings.lora, projector=settings.projector, style=style, dtype=dtype, device=device
        )
        self._text: Callable[[str], tuple[Tensor, Tensor]] = lru_cache(maxsize=_PROMPTS_KEPT)(self._encode_text)
        self._require_match()

    @torch.no_grad()
    def draw(self, orders: Sequence[Order]) -> list[Pixels | ExpertFailure]:
        """Return the image `[height, width, 3]` of each order, or why there is none."""
        made: dict[int, Pixels | ExpertFailure] = {}
        drawings: dict[int, Drawing] = {}
        for number, order in enumerate(orders):
            try:
                against = None
                if self._settings.cfg_scale != 1:
                    against = self._conditions(Order("", order.size, order.seed))
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
        filled = [*drawings, *[drawings[-1]] * (self._batch - len(drawings))]
        try:
            latents = draw_latents(self._network, filled, self._sampling())
        except RuntimeError as error:
            failure = _out_of_memory(error)
            if self._batch == 1:
                return [failure] * len(drawings)
            self._batch = max(1, self._batch // 2)
            logger.warning("%s: out of memory, from now on %d images a batch", self._settings.title, self._batch)
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            return self._draw_batch(drawings)
        return [self._decoded(latent) for latent in latents[: len(drawings)]]

    def _sampling(self) -> SampleSettings:
        own = self._settings
        return SampleSettings(
            own.steps, own.guidance, own.shift, own.id_shift, batch_size=self._batch, cfg_scale=own.cfg_scale
        )

    def _decoded(self, latent: Tensor) -> Pixels | ExpertFailure:
        if not latent.isfinite().all():
            return ExpertFailure("not_finite", "the network drew values that are not finite; try another dtype")
        try:
            return np.asarray(self._codec.decode_images(latent)[0])
        except RuntimeError as error:
            return _out_of_memory(error)

    def _conditions(self, order: Order) -> Conditions:
        text, pooled = self._text(order.prompt)
        contents = tuple(
            self._codec.encode_image(fit_content(Image.fromarray(pixels), self._settings.content_side))
            for pixels in (order.content, order.second)
            if pixels is not None
        )
        styles: tuple[StyleFeatures, ...] = ()
        if order.style is not None:
            if self._vision is None:
                raise ValueError("a style image needs a vision tower and a projector")
            styles = (self._vision.encode([Image.fromarray(order.style)]),)
        return Conditions(text, pooled, contents, styles)

    def _encode_text(self, prompt: str) -> tuple[Tensor, Tensor]:
        return self._t5.encode([prompt]), self._clip.encode([prompt])

    @torch.no_grad()
    def _require_match(self) -> None:
        """Try the encoders on nothing. Raises ValueError where the network takes widths that they do not give."""
        shape = self._network.shape
        text, pooled = self._text("")
        given = {
            "text tokens (t5)": (text.shape[-1], shape.text_width),
            "pooled text (clip)": (pooled.shape[-1], shape.pooled_width),
            "latent channels (vae)": (self._codec.model.config.latent_channels, shape.latent_channels),
        }
        if self._vision is not None:
            blank = Image.new("RGB", (32, 32), "white")
            tokens, width = self._vision.encode([blank]).high.shape[1:]
            given["style tokens (vision)"] = (tokens, shape.style.tokens_in)
            given["style width (vision)"] = (width, shape.style.width)
        wrong = [f"{name}: {has}, the network takes {takes}" for name, (has, takes) in given.items() if has != takes]
        if wrong:
            raise ValueError(f"{self._settings.title}: encoders and network do not go together; {'; '.join(wrong)}")


def _out_of_memory(error: RuntimeError) -> ExpertFailure:
    """Return the failure of a row for which memory did not suffice. Raises any other error again."""
    if isinstance(error, torch.OutOfMemoryError) or "can't allocate memory" in str(error):
        return ExpertFailure("out_of_memory", str(error).splitlines()[0])
    raise error
