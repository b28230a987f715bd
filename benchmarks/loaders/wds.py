"""webdataset, which streams the store's tars.

As its documents advise: shards shuffled and split among nodes and workers, samples shuffled in a buffer, decoding and
batching inside the workers, `WebLoader(batch_size=None)`. It keeps no state. Its maintainer recommends sampling with
replacement and no resuming at all (webdataset/webdataset issues 177 and 271); who wants the same samples makes the
shuffling deterministic and skips what was used. That is done here before decoding, which is the fastest way.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import webdataset
from torch.utils.data import get_worker_info

from loaders.contract import Place
from loaders.convert import train_shards
from loaders.images import ROLES, Batch, Decode, collate

RESUMES = "no state; seeded shuffles and skipping by hand"


def convert(store: Path, out: Path, chunk_bytes: int) -> None:
    """Do nothing: the store's shards are webdataset's."""


def start(data: Path, store: Path, place: Place) -> Webdataset:  # noqa: ARG001
    return Webdataset(store, place)


def state_at(step: int, saved: Any, store: Path, samples: int, batch: int) -> int:  # noqa: ARG001
    return step


class Webdataset:
    def __init__(self, store: Path, place: Place) -> None:
        self._urls = [str(path) for path in train_shards(store)]
        self._place = place
        self._step = 0

    def batches(self, states: Sequence[Any]) -> Iterator[Batch]:
        place = self._place
        self._step = states[0] if states else 0
        shuffled = (
            webdataset.WebDataset(
                self._urls,
                shardshuffle=100,
                detshuffle=True,
                seed=place.seed,
                nodesplitter=webdataset.split_by_node,
                empty_check=False,
            )
            .shuffle(1000, rng=random.Random(place.seed))
            .repeat()
        )
        dataset = webdataset.DataPipeline(
            shuffled,
            partial(_skip, self._step * place.slice),
            webdataset.map(_record),
            webdataset.map(Decode(place.decoding, place.side)),
            webdataset.batched(place.slice, collation_fn=collate, partial=False),
        )
        for batch in webdataset.WebLoader(dataset, batch_size=None, num_workers=place.workers, shuffle=False):
            self._step += 1
            yield batch

    def state(self) -> int:
        return self._step


def _skip(used: int, samples: Iterator[Any]) -> Iterator[Any]:
    """Leave out this worker's share of the samples that its rank has used; workers take turns with batches."""
    info = get_worker_info()
    return islice(samples, used // (info.num_workers if info else 1), None)


def _record(sample: dict[str, Any]) -> dict[str, Any]:
    images = {role: sample[f"{role}.webp"] for role in ROLES}
    return {"id": sample["__key__"], "text": sample["txt"].decode(), **images}
