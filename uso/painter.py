"""A network with all of its encoders in memory: prompts and images in, pictures out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from uso.checkpoint import load_network, require_fit
from uso.images import fit_content
from uso.latents import LatentCodec
from uso.presets import StyleShape
from uso.projector import StyleFeatures
from uso.sampler import Drawing, SampleSettings, draw_latents
from uso.text import CLIPTextEncoder, T5Encoder
from uso.velocity import Conditions
from uso.vision import load_vision

_PROMPTS_KEPT = 1024


@dataclass(frozen=True)
class Parts:
    """Where the parts lie: files for weights, folders or hub names for encoders; without a vision tower no style."""

    base: Path
    t5: str
    clip: str
    vae: str
    lora: Path | None = None
    projector: Path | None = None
    vision: str | None = None
    style_layers: tuple[int, int, int] = (-2, -11, -20)
    text_length: int = 512


class Painter:
    """Draws what it is asked for, on one device.

    Every prompt and reference is encoded alone, and the network sees batches of one size, the last one filled up with
    copies, since kernels round by the shape that they are given: a picture depends on its own drawing, to the bit.
    Raises ValueError (CheckpointError, EncoderError) on files that do not load or do not go together.
    """

    def __init__(self, parts: Parts, *, dtype: torch.dtype = torch.float32, device: str = "cpu") -> None:
        layers = parts.style_layers
        self._t5 = T5Encoder.load(parts.t5, dtype=dtype, device=device, length=parts.text_length)
        self._clip = CLIPTextEncoder.load(parts.clip, dtype=dtype, device=device)
        self._codec = LatentCodec.load(parts.vae, dtype=dtype, device=device)
        self._vision = None
        if parts.vision is not None:
            self._vision = load_vision(parts.vision, dtype=dtype, device=device, layers=layers)
        require_fit(parts.base, parts.lora, parts.projector)
        # Without style images the projector is never used: the smallest one does.
        style = StyleShape(layers=layers) if parts.projector is not None else StyleShape(1, 1, 1, layers)
        self._network = load_network(
            parts.base, lora=parts.lora, projector=parts.projector, style=style, dtype=dtype, device=device
        )
        self._text: Callable[[str], tuple[Tensor, Tensor]] = lru_cache(maxsize=_PROMPTS_KEPT)(self._encode_text)
        self._require_match(parts)

    @property
    def reads_styles(self) -> bool:
        """Tell whether there is a way in for style images."""
        return self._vision is not None

    def content(self, image: Image.Image, long_side: int, *, posterior_seed: int | None = None) -> Tensor:
        """Return the latent `[1, C, h, w]` of a content reference, on the CPU: the posterior's mean, or a draw."""
        generator = None
        if posterior_seed is not None:
            generator = torch.Generator(self._codec.device).manual_seed(posterior_seed)
        return self._codec.encode_image(fit_content(image, long_side), generator=generator).cpu()

    def style(self, image: Image.Image) -> StyleFeatures:
        """Return the features of a style image, on the CPU. Raises ValueError without a vision tower."""
        if self._vision is None:
            raise ValueError("a style image needs a vision tower and a projector")
        return StyleFeatures(*(level.cpu() for level in self._vision.encode([image])))

    def conditions(
        self, prompt: str, contents: Sequence[Tensor] = (), styles: Sequence[StyleFeatures] = ()
    ) -> Conditions:
        """Return what one picture is conditioned on; its text is encoded once."""
        return Conditions(*self._text(prompt), tuple(contents), tuple(styles))

    def draw(self, drawings: Sequence[Drawing], settings: SampleSettings) -> list[Tensor]:
        """Return the latent `[1, C, h, w]` of each drawing; all are of one size and one layout of conditions."""
        filled = [*drawings, *[drawings[-1]] * (-len(drawings) % settings.batch_size)]
        return draw_latents(self._network, filled, settings)[: len(drawings)]

    def picture(self, latent: Tensor) -> Image.Image:
        """Return the picture of a latent `[1, C, h, w]`."""
        return self._codec.decode_images(latent)[0]

    def _encode_text(self, prompt: str) -> tuple[Tensor, Tensor]:
        return self._t5.encode([prompt]).cpu(), self._clip.encode([prompt]).cpu()

    @torch.no_grad()
    def _require_match(self, parts: Parts) -> None:
        """Try the encoders on nothing. Raises ValueError where the network takes widths that they do not give."""
        shape = self._network.shape
        text, pooled = self._text("")
        given = {
            "text tokens (t5)": (text.shape[-1], shape.text_width),
            "pooled text (clip)": (pooled.shape[-1], shape.pooled_width),
            "latent channels (vae)": (self._codec.model.config.latent_channels, shape.latent_channels),
        }
        if self._vision is not None:
            tokens, width = self.style(Image.new("RGB", (32, 32), "white")).high.shape[1:]
            given["style tokens (vision)"] = (tokens, shape.style.tokens_in)
            given["style width (vision)"] = (width, shape.style.width)
        wrong = [f"{name}: {has}, the network takes {takes}" for name, (has, takes) in given.items() if has != takes]
        if wrong:
            raise ValueError(f"{parts.base}: encoders and network do not go together; {'; '.join(wrong)}")
