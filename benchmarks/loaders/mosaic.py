"""mosaicml-streaming: MDS shards, `StreamingDataset` and `StreamingDataLoader`.

As its documents advise: a local copy, `batch_size` told to the dataset, the default shuffle (`py1e`) and predownload,
`num_canonical_nodes` fixed, and resuming by `state_dict` and `load_state_dict`, which it calls elastically
deterministic.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from streaming import MDSWriter, StreamingDataLoader, StreamingDataset

from loaders.contract import Place
from loaders.convert import records
from loaders.images import ROLES, Batch, Decode, collate

RESUMES = "StreamingDataLoader.state_dict"


def convert(store: Path, out: Path, chunk_bytes: int) -> None:
    columns = {"id": "str", "text": "str", **dict.fromkeys(ROLES, "bytes")}
    with MDSWriter(out=str(out), columns=columns, size_limit=chunk_bytes, exist_ok=True) as writer:
        for record in records(store):
            writer.write(record)


def start(data: Path, store: Path, place: Place) -> Mosaic:  # noqa: ARG001
    return Mosaic(data, place)


def state_at(step: int, saved: Any, store: Path, samples: int, batch: int) -> dict[str, Any]:  # noqa: ARG001
    epoch, batches = divmod(step, samples // batch)
    return {**saved, "epoch": epoch, "sample_in_epoch": batches * batch}


class _Decoded(StreamingDataset):
    def __init__(self, decode: Decode, **settings: Any) -> None:
        super().__init__(**settings)
        self._decode = decode

    def __getitem__(self, at: Any) -> Any:
        return self._decode(super().__getitem__(at))


class _Loader(StreamingDataLoader):
    def _get_batch_size(self, batch: Any) -> int:
        return len(batch)


class Mosaic:
    def __init__(self, data: Path, place: Place) -> None:
        dataset = _Decoded(
            Decode(place.decoding, place.side),
            local=str(data),
            shuffle=True,
            shuffle_seed=place.seed,
            num_canonical_nodes=1,
            batch_size=place.slice,
        )
        self._loader = _Loader(
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
