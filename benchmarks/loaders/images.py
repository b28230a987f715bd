"""Decoding and stacking, the same for every library."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

ROLES = ("target", "content", "style")

STAND_IN_SIDE = 32

Pixels = NDArray[np.uint8]


@dataclass
class Batch:
    """What a training step takes: images uint8 `[n, height, width, 3]` or `[n, 3, height, width]` by role."""

    ids: list[str]
    images: dict[str, Tensor]
    prompts: list[str]

    def __len__(self) -> int:
        return len(self.ids)


def with_cv2(data: bytes) -> Pixels:
    return np.asarray(cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB), np.uint8)


def with_pil(data: bytes) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def not_at_all(data: bytes) -> Pixels:  # noqa: ARG001
    """Return a stand-in: for runs that only tell which samples come when."""
    return np.zeros((STAND_IN_SIDE, STAND_IN_SIDE, 3), np.uint8)


DECODERS: dict[str, Callable[[bytes], Pixels]] = {"cv2": with_cv2, "pil": with_pil, "none": not_at_all}


class Decode:
    """Turns a record of bytes into a sample of square images; may be sent to worker processes.

    None but ours forms batches of one shape, so the few images that are not square are scaled.
    """

    def __init__(self, decoding: str, side: int) -> None:
        self.decoding = decoding
        self.size = (side, side)

    def __call__(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Take `id`, `text` and the encoded images by role."""
        return {"id": record["id"], "text": record["text"], **{role: self._image(record[role]) for role in ROLES}}

    def _image(self, data: bytes) -> Pixels:
        image = DECODERS[self.decoding](data)
        if image.shape[:2] != self.size:
            image = np.asarray(cv2.resize(image, self.size, interpolation=cv2.INTER_AREA), np.uint8)
        return image


def collate(samples: Sequence[Mapping[str, Any]]) -> Batch:
    """Stack decoded samples. As tensors they go through shared memory from worker to trainer, not through a pipe."""
    return Batch(
        [sample["id"] for sample in samples],
        {role: torch.from_numpy(np.stack([sample[role] for sample in samples])) for role in ROLES},
        [sample["text"] for sample in samples],
    )
