"""What the benchmark asks of a library."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from loaders.images import STAND_IN_SIDE, Batch

MODULES = {
    "ours": "ours",
    "ours, unverified": "ours",
    "webdataset": "wds",
    "wids": "wids_",
    "mosaicml-streaming": "mosaic",
    "litdata": "lit",
    "megatron-energon": "energon",
}
"""The module of each contestant."""


@dataclass(frozen=True)
class Place:
    """Which part of the work a process does.

    `batch` is the number of samples of a global batch over all ranks. `decoding` is one of `images.DECODERS`.
    `accumulate` lets a rank's slice be made of one micro-batch from each worker, where a library's rules for changing
    the world size ask for it.
    """

    rank: int = 0
    world: int = 1
    workers: int = 2
    batch: int = 16
    seed: int = 0
    decoding: str = "cv2"
    accumulate: bool = False
    verify: bool = True

    @property
    def side(self) -> int:
        """Return the side of the images in pixels; the stand-ins for images that are not decoded are small."""
        return STAND_IN_SIDE if self.decoding == "none" else 128

    @property
    def slice(self) -> int:
        """Return the number of samples of a rank's slice of a global batch, where all have as many."""
        if self.batch % self.world:
            raise ValueError(f"a global batch of {self.batch} does not go evenly into {self.world} ranks")
        return self.batch // self.world


class Stream(Protocol):
    """An endless stream of a rank's slices of global batches."""

    def batches(self, states: Sequence[Any]) -> Iterator[Batch]:
        """Yield slices from the start, or from where the ranks of an earlier run had saved their states."""

    def state(self) -> Any:
        """Return what this rank would save after the batch that was yielded last."""


class Library(Protocol):
    """A module of this package."""

    RESUMES: str
    """How it goes on where a run stopped, in a line."""

    def convert(self, store: Path, out: Path, chunk_bytes: int) -> None:
        """Write the training samples of a store in the library's own format; nothing where it reads the store."""

    def start(self, data: Path, store: Path, place: Place) -> Stream:
        """Return the stream of a process."""

    def state_at(self, step: int, saved: Any, store: Path, samples: int, batch: int) -> Any | None:
        """Return the state that a run of one rank saves after so many steps, without running them.

        `saved` is the state of a real run at an early step. None where only a run can tell.
        """


def library(name: str) -> Library:
    """Return a contestant's module. Raises ModuleNotFoundError where it is not installed."""
    return cast(Library, importlib.import_module(f"loaders.{MODULES[name]}"))
