"""wids, webdataset's random access to the store's tars by their index file.

As its documents advise: a `ShardListDataset` that holds all shards open, `DistributedChunkedSampler`, and a plain
`DataLoader`. wids keeps no state: a resumed run sets the sampler's epoch and skips what was used, without reading it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import wids
from torch.utils.data import DataLoader

from loaders.contract import Place
from loaders.convert import train_shards
from loaders.images import ROLES, Batch, Decode, collate

RESUMES = "no state; the sampler's epoch set, indices skipped by hand"


def convert(store: Path, out: Path, chunk_bytes: int) -> None:  # noqa: ARG001
    """Put links to the shards where wids looks for its copies: a local store needs no second one."""
    out.mkdir(parents=True, exist_ok=True)
    for shard in train_shards(store):
        (out / shard.name).symlink_to(shard.resolve())


def start(data: Path, store: Path, place: Place) -> Wids:
    return Wids(data, store, place)


def state_at(step: int, saved: Any, store: Path, samples: int, batch: int) -> tuple[int, int]:  # noqa: ARG001
    return divmod(step, samples // batch)


class Wids:
    def __init__(self, data: Path, store: Path, place: Place) -> None:
        self._place = place
        decode = Decode(place.decoding, place.side)
        self._dataset = wids.ShardListDataset(
            str(store / "index-train.json"),
            base=str(store),
            cache_dir=str(data),
            keep=True,
            lru_size=200,
            transformations=[_record, decode],
        )
        self._state = (0, 0)

    def batches(self, states: Sequence[Any]) -> Iterator[Batch]:
        place = self._place
        sampler = wids.DistributedChunkedSampler(
            self._dataset, chunksize=1000, shuffle=True, shufflefirst=True, seed=place.seed
        )
        epoch, done = states[0] if states else (0, 0)
        order = _Rest(sampler, epoch, done * place.slice)
        loader = DataLoader(
            self._dataset,
            batch_size=place.slice,
            sampler=order,
            num_workers=place.workers,
            collate_fn=collate,
            drop_last=True,
            persistent_workers=True,
        )
        while True:
            for number, batch in enumerate(loader, start=done + 1):
                self._state = (epoch, number)
                yield batch
            epoch, done = epoch + 1, 0
            order.start(epoch, 0)

    def state(self) -> tuple[int, int]:
        return self._state


class _Rest:
    """The rest of an epoch of a sampler."""

    def __init__(self, sampler: Any, epoch: int, used: int) -> None:
        self._sampler = sampler
        self.start(epoch, used)

    def start(self, epoch: int, used: int) -> None:
        self._sampler.set_epoch(epoch)
        self._used = used

    def __iter__(self) -> Iterator[int]:
        return islice(iter(self._sampler), self._used, None)

    def __len__(self) -> int:
        return len(self._sampler) - self._used


def _record(sample: dict[str, Any]) -> dict[str, Any]:
    images = {role: _bytes(sample[f".{role}.webp"]) for role in ROLES}
    return {"id": sample["__key__"], "text": _bytes(sample[".txt"]).decode(), **images}


def _bytes(file: Any) -> bytes:
    data: bytes = file.getvalue()
    return data
