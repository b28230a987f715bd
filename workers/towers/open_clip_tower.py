"""Any model of open_clip, for CLIP-I and CLIP-T (Radford et al. 2021)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from workers.towers.base import Pixels, TextTower, TorchTower, TowerError, Vectors, unit
from workers.towers.open_clip_files import known_name
from workers.towers.settings import OpenClipSettings

_PRECISION = {"float32": "fp32", "bfloat16": "bf16", "float16": "fp16"}


class OpenClipTower(TorchTower, TextTower):
    """Image and text vectors of one model, in its shared space.

    Model, preprocessing and tokenizer are open_clip's own. Raises TowerError where the model does not load, weights
    are missing, or a tag was trained with another activation than the model's name stands for.
    """

    def __init__(self, settings: OpenClipSettings, *, digest: str, device: str = "cpu") -> None:
        super().__init__(
            digest=digest, device=device, dtype=settings.dtype, batch=settings.batch, threads=settings.threads
        )
        import open_clip

        name = known_name(settings)
        try:
            model, self._preprocess = open_clip.create_model_from_pretrained(
                name, settings.pretrained, precision=_PRECISION[settings.dtype], device=device
            )
            self._tokenizer: Any = open_clip.get_tokenizer(name)
        except (RuntimeError, ValueError, OSError, KeyError) as error:
            cause = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise TowerError(f"open_clip {settings.model}: {cause}") from error
        self._model = model.eval().requires_grad_(False)

    def prepare(self, images: Sequence[Pixels]) -> Tensor:
        """Return images as the model's own transform makes them."""
        return torch.stack([self._preprocess(Image.fromarray(image)) for image in images])

    def encode(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Return the projected vectors of images."""
        return (self._model.encode_image(inputs),)

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Return unit vectors `[n, width]` float32 of texts, cut to the model's length; equal texts go through once."""
        distinct = list(dict.fromkeys(texts))
        known: dict[str, Vectors] = {}
        with torch.inference_mode():
            for start in range(0, len(distinct), self._batch):
                part = distinct[start : start + self._batch]
                vectors = unit(self._model.encode_text(self._tokenizer(part).to(self.device)).float())
                known |= dict(zip(part, vectors, strict=True))
        return np.stack([known[text] for text in texts]) if texts else np.zeros((0, 0), np.float32)
