"""Triptych's own loader, which reads a store as it is.

A checkpoint holds the position, two integers; any rank of any world goes on from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from loaders.contract import Place
from loaders.images import DECODERS, ROLES, Batch
from uso.training import loader as training_loader
from uso.training.catalog import Catalog
from uso.training.loader import LoaderSettings, TripletLoader
from uso.training.order import Position
from uso.training.sources import Shapes, StoreSource, resolve

RESUMES = "position in the checkpoint; ranks and workers are free"


def convert(store: Path, out: Path, chunk_bytes: int) -> None:
    """Do nothing: the store is read as it lies."""


def start(data: Path, store: Path, place: Place) -> Ours:  # noqa: ARG001
    return Ours(store, place)


def state_at(step: int, saved: Any, store: Path, samples: int, batch: int) -> Position:  # noqa: ARG001
    """Return the position. Batches are of one shape, and what an epoch leaves over goes into the next one."""
    (source,) = _catalog(store, 128).sources
    shapes = np.bincount(source.buckets)
    epoch = 0
    while (following := int(np.sum((epoch + 1) * shapes // batch))) <= step:
        epoch, first = epoch + 1, following
    return Position(epoch, step - first if epoch else step)


def _catalog(store: Path, side: int) -> Catalog:
    return resolve([StoreSource(str(store))], Shapes(side, side))


class Ours:
    def __init__(self, store: Path, place: Place) -> None:
        if place.decoding != "cv2":  # which it uses by itself
            training_loader.decode = DECODERS[place.decoding]
        catalog = _catalog(store, place.side)
        settings = LoaderSettings(
            seed=place.seed, batch=place.batch, workers=place.workers, verify="first" if place.verify else "never"
        )
        self._loader = TripletLoader(catalog, settings, rank=place.rank, world=place.world)
        self._following = Position()

    def batches(self, states: Sequence[Any]) -> Iterator[Batch]:
        for batch in self._loader.batches(states[0] if states else Position()):
            self._following = batch.following
            images = {role: batch.stack(role) for role in ROLES}
            yield Batch(batch.ids, images, [sample.prompt for sample in batch.samples])

    def state(self) -> Position:
        return self._following
