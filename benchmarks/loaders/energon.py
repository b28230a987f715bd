"""megatron-energon: the store's tars with its own index beside them, and a loader whose state can be saved.

As its documents advise: `prepare_dataset`, a crude dataset with a cooker, a shuffle buffer, `get_savable_loader`, the
state saved on each rank and dealt out anew for another number of ranks (`energon checkpoint redist`). It promises the
same global batches only while micro-batch x ranks x workers stays what it was ("Reproducible Scaling").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from megatron.energon import (
    Cooker,
    DefaultTaskEncoder,
    Sample,
    WorkerConfig,
    basic_sample_keys,
    get_savable_loader,
    get_train_dataset,
    stateless,
)
from megatron.energon.flavors import BaseWebdatasetFactory
from megatron.energon.savable_loader import SavableDataLoaderState

from loaders.contract import Place
from loaders.convert import train_shards
from loaders.images import ROLES, Batch, Decode, collate

RESUMES = "save_state_rank, `energon checkpoint redist`"

CRUDE = "__module__: megatron.energon\n__class__: CrudeWebdataset\n"


def convert(store: Path, out: Path, chunk_bytes: int) -> None:  # noqa: ARG001
    out.mkdir(parents=True, exist_ok=True)
    names = []
    for shard in train_shards(store):
        (out / shard.name).symlink_to(shard.resolve())
        names.append(shard.name)
    ratio = [("train", 1.0), ("val", 0.0), ("test", 0.0)]
    BaseWebdatasetFactory.prepare_dataset(out, names, split_parts_ratio=ratio, shuffle_seed=None, workers=1)
    (out / ".nv-meta" / "dataset.yaml").write_text(CRUDE)


def start(data: Path, store: Path, place: Place) -> Energon:  # noqa: ARG001
    return Energon(data, place)


def state_at(step: int, saved: Any, store: Path, samples: int, batch: int) -> None:
    """Return nothing: the state holds what lies in the shuffle buffers, which only a run can tell."""


@dataclass
class _Record(Sample):
    fields: dict[str, Any]


@stateless
def _cook(raw: dict[str, Any]) -> _Record:
    images = {role: raw[f"{role}.webp"] for role in ROLES}
    record = {"id": raw["__key__"].rpartition("/")[2], "text": raw["txt"].decode(), **images}
    return _Record(**basic_sample_keys(raw), fields=record)


class _Encoder(DefaultTaskEncoder):
    cookers = (Cooker(_cook),)
    decoder = None  # members come as bytes

    def __init__(self, decode: Decode) -> None:
        super().__init__()
        self._decode = decode

    @stateless
    def encode_sample(self, sample: _Record) -> _Record:
        sample.fields = self._decode(sample.fields)
        return sample

    def batch(self, samples: list[_Record]) -> Batch:
        return collate([sample.fields for sample in samples])


class Energon:
    def __init__(self, data: Path, place: Place) -> None:
        self._place = place
        self._parts = max(1, place.workers) if place.accumulate else 1
        config = WorkerConfig(
            rank=place.rank, world_size=place.world, num_workers=place.workers, seed_offset=place.seed
        )
        dataset = get_train_dataset(
            str(data),
            worker_config=config,
            batch_size=place.slice // self._parts,
            batch_drop_last=True,
            shuffle_buffer_size=100,
            max_samples_per_sequence=100,
            task_encoder=_Encoder(Decode(place.decoding, place.side)),
        )
        # Restoring reads again what was read since the last checkpoint that its workers keep, by default one a minute.
        # A run without decoding, which makes a state for later, goes through more in a minute than any training does.
        self._loader = get_savable_loader(dataset, checkpoint_every_sec=1 if place.decoding == "none" else 60)

    def batches(self, states: Sequence[Any]) -> Iterator[Batch]:
        if states:
            self._loader.restore_state_rank(self._own(states))
        stream = iter(self._loader)
        while True:
            parts = [next(stream) for _ in range(self._parts)]
            yield parts[0] if len(parts) == 1 else _join(parts)

    def state(self) -> Any:
        return self._loader.save_state_rank()

    def _own(self, states: Sequence[SavableDataLoaderState]) -> SavableDataLoaderState:
        """Return this rank's state, the workers' states dealt out anew where the number of ranks is another.

        By the rule of `energon checkpoint redist`; the command itself cannot read the single file of a single rank.
        """
        place = self._place
        if len(states) == place.world:
            return states[place.rank]
        workers = [each for state in states for each in state.worker_states]
        if len(workers) != place.world * place.workers:
            raise ValueError(f"{len(workers)} workers' states cannot be dealt out to {place.world} x {place.workers}")
        own = workers[place.rank * place.workers :][: place.workers]
        return SavableDataLoaderState(worker_states=own, next_worker_id=0, micro_batch_size=states[0].micro_batch_size)


def _join(parts: Sequence[Batch]) -> Batch:
    return Batch(
        [name for part in parts for name in part.ids],
        {role: torch.cat([part.images[role] for part in parts]) for role in ROLES},
        [prompt for part in parts for prompt in part.prompts],
    )
