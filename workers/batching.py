"""Batches that fit: halved where memory runs out, and taken apart where one item makes them fail."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

Item = TypeVar("Item")
Made = TypeVar("Made")

logger = logging.getLogger(__name__)

OUT_OF_MEMORY = "out_of_memory"

_MEMORY_WORDS = ("out of memory", "can't allocate memory", "not enough memory", "cannot allocate memory")


@dataclass(frozen=True)
class Spoilt:
    """Why nothing came of one item: a short reason to count by, and what was said."""

    reason: str
    detail: str


class Batches:
    """Runs a function over batches of at most `size` items, and learns what fits.

    A batch for which memory does not suffice is halved, down to single items; the size that fitted is kept for what
    comes later, and each halving is logged. A batch that fails otherwise is run item by item, so that only what is at
    fault fails. `title` says in the log whose batch it is. `fills` tells that the function fills every batch up to
    `size` itself, so that a smaller one takes less memory even for a single item.
    """

    def __init__(self, title: str, size: int, *, fills: bool = False) -> None:
        self.title = title
        self.size = size
        self._fills = fills

    def run(self, items: Sequence[Item], work: Callable[[Sequence[Item]], Sequence[Made]]) -> list[Made | Spoilt]:
        """Return what `work` made of each item, in order, or why it made nothing.

        `work` is given at most `size` items and returns one result for each; whatever it raises becomes a `Spoilt`.
        """
        made: list[Made | Spoilt] = []
        alone_until = 0
        while len(made) < len(items):
            start = len(made)
            batch = items[start : start + (1 if start < alone_until else self.size)]
            try:
                results = list(work(batch))
                if len(results) != len(batch):
                    raise RuntimeError(f"{len(results)} results of {len(batch)} items")
            except Exception as error:
                spoilt = _spoilt(error)
            else:
                made += results
                continue
            if spoilt.reason == OUT_OF_MEMORY:
                _give_back()
                if self._halved(len(batch)):
                    continue
            if len(batch) == 1:
                made.append(spoilt)
            else:
                alone_until = start + len(batch)
        return made

    def _halved(self, tried: int) -> bool:
        """Take half of the size that was tried; tell whether there is less to try."""
        tried = self.size if self._fills else tried
        if tried == 1:
            return False
        self.size = tried // 2
        logger.warning("%s: out of memory, from now on %d images a batch", self.title, self.size)
        return True


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether memory did not suffice, on a GPU (torch.OutOfMemoryError, CUDA's RuntimeError) or in the machine."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    said = str(error).lower()
    return isinstance(error, RuntimeError) and any(words in said for words in _MEMORY_WORDS)


def _spoilt(error: Exception) -> Spoilt:
    name = OUT_OF_MEMORY if is_out_of_memory(error) else type(error).__name__
    return Spoilt(name, (str(error).strip().splitlines() or [type(error).__name__])[0])


def _give_back() -> None:
    """Free what a batch that did not fit still holds."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()
