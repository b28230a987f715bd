"""SSCD (Pizzi et al. 2022, "A Self-Supervised Descriptor for Image Copy Detection")."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from workers.towers.base import Pixels, TorchTower, TowerError
from workers.towers.settings import SscdSettings

_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class SscdTower(TorchTower):
    """The descriptor of SSCD's TorchScript release; copies have a cosine of about 0.75 and more.

    Images are squeezed to a square of `side` pixels (the release's `skew_320`) and normalised as ImageNet's are.
    Raises TowerError where the file is no TorchScript module that torch can load.
    """

    def __init__(self, settings: SscdSettings, *, digest: str, device: str = "cpu") -> None:
        super().__init__(
            digest=digest, device=device, dtype=settings.dtype, batch=settings.batch, threads=settings.threads
        )
        self._side = settings.side
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", FutureWarning)  # the release is TorchScript, which torch is leaving
                loaded = torch.jit.load(str(settings.weights), map_location=device)  # type: ignore[no-untyped-call]
        except RuntimeError as error:
            cause = (str(error).strip().splitlines() or ["it cannot be read"])[0]
            raise TowerError(
                f"{settings.weights}: is no TorchScript file ({cause}); give the .torchscript.pt of SSCD's release"
            ) from error
        self._model = loaded.eval().to(getattr(torch, settings.dtype))

    def prepare(self, images: Sequence[Pixels]) -> Tensor:
        """Return images as `[n, 3, side, side]`, normalised."""
        size = (self._side, self._side)
        resized = [np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BILINEAR)) for image in images]
        pixels = torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).float() / 255
        mean, std = (pixels.new_tensor(numbers)[:, None, None] for numbers in (_MEAN, _STD))
        return (pixels - mean) / std

    def encode(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the descriptors."""
        return (self._model(inputs),)
