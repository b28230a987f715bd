"""Images to latents and back, through a frozen autoencoder."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from diffusers import AutoencoderKL
from PIL import Image
from torch import Tensor

from uso.encoders import FrozenEncoder, reported, split_source
from uso.images import SIDE_STEP, image_tensor, tensor_images


class LatentCodec(FrozenEncoder):
    """The autoencoder of FLUX: 8 pixels a latent pixel, shifted and scaled to about unit variance."""

    @classmethod
    def load(cls, source: str, *, dtype: torch.dtype, device: torch.device | str = "cpu") -> LatentCodec:
        """Load an `AutoencoderKL` from a folder or hub name (`//subfolder` after it), from safetensors only.

        Raises EncoderError when it is not there or does not load whole.
        """
        name, subfolder = split_source(source)
        with reported(source):
            model, info = AutoencoderKL.from_pretrained(
                name,
                subfolder=subfolder or None,
                use_safetensors=True,
                torch_dtype=dtype,
                low_cpu_mem_usage=False,
                output_loading_info=True,
            )
            lacking = [*info["missing_keys"], *info["unexpected_keys"]]
            if lacking:
                raise ValueError(f"{len(lacking)} weights are missing or unexpected ({', '.join(lacking[:3])})")
        return cls(model.to(device), source)

    @property
    def settings(self) -> tuple[object, ...]:
        """Return shift and scale of the latents."""
        return self._affine()

    def encode(self, pixels: Tensor, *, generator: torch.Generator | None = None) -> Tensor:
        """Return latents `[B, C, h / 8, w / 8]` of images `[B, 3, h, w]` in -1..1.

        With a generator they are drawn from the posterior, as upstream does; without one they are its mean. Raises
        ValueError when a side is no multiple of 16.
        """
        posterior = self._posterior(pixels)
        latents: Tensor = posterior.mode() if generator is None else posterior.sample(generator)
        shift, scale = self._affine()
        return (latents - shift) * scale

    def moments(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and standard deviation `[B, C, h / 8, w / 8]` of the latents of images, scaled as `encode` does.

        Mean plus deviation times standard normal noise is a draw of `encode`. Raises ValueError as it does.
        """
        posterior = self._posterior(pixels)
        shift, scale = self._affine()
        return (posterior.mean - shift) * scale, posterior.std * scale

    def decode(self, latents: Tensor) -> Tensor:
        """Return images `[B, 3, h, w]` in about -1..1; gradients flow back to the latents, as a style reward needs."""
        shift, scale = self._affine()
        images: Tensor = self.model.decode((latents.to(self.device) / scale + shift).to(self.dtype)).sample
        return images

    @torch.no_grad()
    def encode_image(self, image: Image.Image, *, generator: torch.Generator | None = None) -> Tensor:
        """Return the latent `[1, C, h / 8, w / 8]` of one image, whose sides are multiples of 16."""
        return self.encode(image_tensor(image), generator=generator)

    @torch.no_grad()
    def decode_images(self, latents: Tensor) -> Sequence[Image.Image]:
        """Return latents `[B, C, h, w]` as 8-bit RGB images."""
        return tensor_images(self.decode(latents))

    def _posterior(self, pixels: Tensor) -> Any:
        if any(side % SIDE_STEP for side in pixels.shape[-2:]):
            raise ValueError(f"images of {list(pixels.shape[-2:])} px do not divide into tokens of {SIDE_STEP} px")
        with torch.no_grad():
            return self.model.encode(pixels.to(self.device, self.dtype)).latent_dist

    def _affine(self) -> tuple[float, float]:
        return self.model.config.shift_factor or 0.0, self.model.config.scaling_factor
