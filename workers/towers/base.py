"""The contract of a tower, and how images go through one."""

from __future__ import annotations

import gc
import logging
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, ClassVar

import numpy as np
from numpy.typing import NDArray

from workers.batching import is_out_of_memory

if TYPE_CHECKING:
    from torch import Tensor

logger = logging.getLogger(__name__)

Pixels = NDArray[np.uint8]
"""An sRGB image, `[height, width, 3]`, 0 to 255."""

Vectors = NDArray[np.float32]
"""Unit vectors, `[n, width]`."""


class TowerError(ValueError):
    """A tower that cannot be loaded; the message names its files, the fault and the mend."""


class Tower(ABC):
    """A frozen network that maps images of any sizes to vectors of unit length.

    One forward pass gives one vector for each of `heads`: most towers have one, CSD and the nano encoder have two.
    `digest` is that of its weights and parameters, `device` and `dtype` say where and how it computes.
    """

    heads: ClassVar[tuple[str, ...]] = ("image",)
    digest: str
    device: str
    dtype: str

    @abstractmethod
    def embed_all(self, images: Sequence[Pixels]) -> dict[str, Vectors]:
        """Return the vectors of every head, each `[n, width]` float32, of one pass over the images."""

    def embed(self, images: Sequence[Pixels], head: str | None = None) -> Vectors:
        """Return unit vectors `[n, width]` float32 of the images, by one head; by the first unless it is named."""
        return self.embed_all(images)[head or self.heads[0]]


class TextTower(Tower):
    """A tower that has texts in the space of its images."""

    @abstractmethod
    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Return unit vectors `[n, width]` float32 of texts."""


class TorchTower(Tower):
    """A tower whose network runs on torch.

    While the network is at one batch, threads prepare the next ones. Batches have one size: the last is filled up, so
    that an image's vectors do not depend on its company. Where memory runs out, batches are halved from then on. What a
    subclass brings is `prepare` and `encode`.
    """

    def __init__(self, *, digest: str, device: str, dtype: str, batch: int, threads: int) -> None:
        self.digest = digest
        self.device = device
        self.dtype = dtype
        self._batch = batch
        self._threads = threads

    @abstractmethod
    def prepare(self, images: Sequence[Pixels]) -> Tensor:
        """Return images as the network takes them, `[n, 3, height, width]` float32 on the CPU."""

    @abstractmethod
    def encode(self, inputs: Tensor) -> tuple[Tensor, ...]:
        """Return one tensor `[n, width]` for each head, of inputs on the tower's device and in its dtype."""

    def embed_all(self, images: Sequence[Pixels]) -> dict[str, Vectors]:
        """Return the vectors of every head. Raises ValueError for a vector that is not finite or has no length."""
        import torch

        parts: list[tuple[Vectors, ...]] = []
        with torch.inference_mode():
            for inputs in self._prepared(images):
                parts += self._encode_fitting(inputs)
        if not parts:
            return {head: np.zeros((0, 0), np.float32) for head in self.heads}
        return {head: np.concatenate([part[place] for part in parts]) for place, head in enumerate(self.heads)}

    def _encode_fitting(self, inputs: Tensor) -> list[tuple[Vectors, ...]]:
        """Return the vectors of inputs, in parts of a size that memory suffices for; the size is kept for later."""
        while len(inputs) <= self._batch:
            try:
                return [self._encode_filled(inputs)]
            except (RuntimeError, MemoryError) as error:
                if self._batch == 1 or not is_out_of_memory(error):
                    raise
            self._batch = max(1, self._batch // 2)
            logger.warning("%s: out of memory, from now on %d images a batch", type(self).__name__, self._batch)
            _tidy()
        halves = inputs.chunk(-(-len(inputs) // self._batch))
        return [part for half in halves for part in self._encode_fitting(half)]

    def _encode_filled(self, inputs: Tensor) -> tuple[Vectors, ...]:
        import torch

        count = len(inputs)
        if count < self._batch:
            inputs = torch.cat([inputs, inputs[-1:].expand(self._batch - count, *inputs.shape[1:])])
        outputs = self.encode(inputs.to(self.device, getattr(torch, self.dtype)))
        return tuple(self.finish(output[:count].float()) for output in outputs)

    def finish(self, outputs: Tensor) -> Vectors:
        """Return what a head gave, `[n, width]` float32, as it leaves the tower: brought to unit length."""
        return unit(outputs)

    def _prepared(self, images: Sequence[Pixels]) -> Iterator[Tensor]:
        """Yield one batch of inputs after the other, `threads` of them being prepared ahead."""
        step = self._batch
        waiting: deque[Future[Tensor]] = deque()
        with ThreadPoolExecutor(self._threads, thread_name_prefix="prepare") as pool:
            for start in range(0, len(images), step):
                waiting.append(pool.submit(self.prepare, images[start : start + step]))
                if len(waiting) > self._threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()


def writable(images: Sequence[Pixels]) -> list[Pixels]:
    """Return images that torch may take as they are; those that must not be written to are copied."""
    return [image if image.flags.writeable else image.copy() for image in images]


def _tidy() -> None:
    """Give back what a batch that did not fit still holds."""
    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def unit(outputs: Tensor) -> Vectors:
    """Return rows brought to unit length, as numpy."""
    lengths = outputs.norm(dim=1, keepdim=True)
    if not bool((lengths > 0).all() and lengths.isfinite().all()):
        raise ValueError("the network's vector of an image is not finite, or has no length")
    vectors: Vectors = (outputs / lengths).cpu().numpy()
    return vectors
