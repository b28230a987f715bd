"""litdata: chunks made by `optimize`, `StreamingDataset` and `StreamingDataLoader`.

As its documents advise: chunks of 64 MB, its own shuffling (`shuffle=True`), decoding in `transform`, and resuming by
`state_dict` and `load_state_dict`, which since 2026 is to bear other numbers of ranks and workers.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

os.environ.setdefault("DO_NOT_TRACK", "1")

from litdata import StreamingDataLoader, StreamingDataset
from litdata.streaming.cache import Cache

from loaders.contract import Place
from loaders.convert import records
from loaders.images import Batch, Decode, collate

RESUMES = "StreamingDataLoader.state_dict"


def convert(store: Path, out: Path, chunk_bytes: int) -> None:
    """Write the chunks that `optimize` writes, by the writer that it uses."""
    cache = Cache(str(out), chunk_bytes=chunk_bytes)
    for number, record in enumerate(records(store)):
        cache[number] = record
    cache.done()
    cache.merge()


def start(data: Path, store: Path, place: Place) -> Lit:  # noqa: ARG001
    return Lit(data, place)


def state_at(step: int, saved: Any, store: Path, samples: int, batch: int) -> Any:  # noqa: ARG001
    """Return the state after a step: that of an early one with its counters set."""
    epoch, batches = divmod(step, samples // batch)
    used = {"current_epoch": epoch + 1, "num_samples_yielded": batches * batch}
    workers = saved["dataset"]["num_workers"]
    dataset = {**saved["dataset"], **used, "sample_in_epoch": batches * batch}
    return {**saved, **used, "dataset": dataset, "latest_worker_idx": (batches - 1) % workers}


class Lit:
    def __init__(self, data: Path, place: Place) -> None:
        dataset = StreamingDataset(
            str(data), shuffle=True, drop_last=True, seed=place.seed, transform=Decode(place.decoding, place.side)
        )
        self._loader = StreamingDataLoader(
            dataset,
            batch_size=place.slice,
            num_workers=place.workers,
            collate_fn=collate,
            drop_last=True,
            persistent_workers=True,
        )

    def batches(self, states: Sequence[Any]) -> Iterator[Batch]:
        if states:
            self._loader.load_state_dict(states[0])
        while True:
            yield from self._loader

    def state(self) -> Any:
        return self._loader.state_dict()
