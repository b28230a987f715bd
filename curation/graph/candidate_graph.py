"""The second graph: load, stylize, destylize, score, judge, decide, pack; one streaming execution on Ray Data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from curation import context
from curation.experts import expert_digests
from curation.graph.pack import Packer, from_ipc
from curation.graph.stage import StageWorker
from curation.graph.streaming import Stream
from curation.metrics import WorkerClock
from curation.patience import patiently
from curation.spec.model import JobSpec
from manifests.shards import Shard
from manifests.store import Store
from workers.endpoints.bought import Bought
from workers.scorers.references import References


@dataclass(frozen=True)
class Packed:
    """What one commit takes: the rows of the manifest, the shards, and the counts for the funnel."""

    triplets: pa.Table
    assets: pa.Table
    judgements: pa.Table
    shards: list[Shard]
    counts: dict[str, Any]


def curate(spec: JobSpec, rows: pa.Table, *, bank: References, store: Store) -> Iterator[Packed]:
    """Yield what is to be committed, one batch of `spec.shards.candidates` rows after the other. Needs a running Ray.

    Equal rows make equal shards, however many workers there are: see `curation.graph.streaming`.
    """
    if not rows.num_rows:
        return
    stages = {name: stage for name, stage in spec.pools().items() if name != "pack"}
    stream = Stream(rows, stages, shard=spec.shards.candidates)
    made = {"spec": spec, "bought": Bought(store.files)}
    stylizers, destylizers = expert_digests(spec, "stylize"), expert_digests(spec, "destylize")
    stream.then("load", context.load_stage, {"spec": spec})
    if spec.captions:
        stream.then("caption", context.caption_stage, made)
    stream.then("stylize", context.stylize_stage, {"digests": stylizers, **made})
    stream.then("destylize", context.destylize_stage, {"digests": destylizers, **made})
    stream.then("score", context.score_stage, {"spec": spec, "bank": bank})
    if spec.judge:
        stream.then("judge", context.judge_stage, {"spec": spec, "answers": store.answers})
    packed = stream.pack(PackWorker, {"spec": spec, "store": store}, spec.stages.pack)
    for row in packed.iter_rows():
        yield Packed(
            triplets=from_ipc(row["triplets"]),
            assets=from_ipc(row["assets"]),
            judgements=from_ipc(row["judgements"]),
            shards=[Shard(**shard) for shard in json.loads(row["shards"])],
            counts=json.loads(row["counts"]),
        )


class PackWorker:
    """Decides on one batch of rows by the policy, and packs it, inside a Ray actor."""

    def __init__(self, spec: JobSpec, store: Store) -> None:
        self._decide = StageWorker(context.decide_stage, {"spec": spec})
        self._packer = Packer(context.gallery_of(spec), store=store, kind=spec.image.format)
        self._patience = spec.ray.store_patience_seconds
        self._clock = WorkerClock("pack")

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Return one row that describes what was packed. Raises RuntimeError on rows of more than one batch."""
        numbers = set(batch["batch"].to_pylist())
        if len(numbers) != 1:
            raise RuntimeError(f"the graph mixed the batches {sorted(numbers)}; shards would depend on its timing")
        decided = self._decide(batch)
        with self._clock.work(batch.num_rows):
            return patiently(lambda: self._packer(decided), seconds=self._patience, what="packing")
