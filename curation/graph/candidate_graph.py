"""The second graph: load, stylize, destylize, score, decide, pack; one streaming execution on Ray Data."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from numpy.typing import NDArray

from curation import context
from curation.graph.pack import Packer, from_ipc
from curation.graph.rows import Row, to_table
from curation.graph.stage import StageWorker
from curation.spec.model import JobSpec, StageSpec
from manifests.shards import Shard
from manifests.store import Store


@dataclass(frozen=True)
class Packed:
    """What one commit takes: the rows of the manifest, the shards, and the counts for the funnel."""

    triplets: pa.Table
    assets: pa.Table
    shards: list[Shard]
    counts: dict[str, Any]


def curate(spec: JobSpec, rows: Sequence[Row], *, bank: NDArray[np.float32], store: Store) -> Iterator[Packed]:
    """Yield what is to be committed, one batch of `spec.shards.candidates` rows after the other. Needs a running Ray.

    Order is preserved through the graph, so that equal rows make equal shards however many workers there are.
    """
    if not rows:
        return
    size = spec.shards.candidates
    context_of_ray = ray.data.DataContext.get_current()
    context_of_ray.execution_options.preserve_order = True
    block = max(1, min(size, spec.stages.load.batch * 4))
    data = ray.data.from_arrow([to_table(rows[start : start + block]) for start in range(0, len(rows), block)])
    data = _stage(data, spec.stages.load, context.load_stage, {"spec": spec})
    data = _stage(data, spec.stages.stylize, context.stylize_stage, {"spec": spec})
    data = _stage(data, spec.stages.destylize, context.destylize_stage, {"spec": spec})
    data = _stage(data, spec.stages.score, context.score_stage, {"spec": spec, "bank": bank})
    data = _stage(data, spec.stages.decide, context.decide_stage, {"spec": spec})
    data = data.repartition(target_num_rows_per_block=size, strict=True)
    data = data.map_batches(
        PackWorker,
        fn_constructor_kwargs={"spec": spec, "store": store},
        batch_size=size,
        batch_format="pyarrow",
        **_resources(spec.stages.pack),
    )
    for row in data.iter_rows():
        yield Packed(
            triplets=from_ipc(row["triplets"]),
            assets=from_ipc(row["assets"]),
            shards=[Shard(**shard) for shard in json.loads(row["shards"])],
            counts=json.loads(row["counts"]),
        )


class PackWorker:
    """Packs one batch of rows inside a Ray actor."""

    def __init__(self, spec: JobSpec, store: Store) -> None:
        self._packer = Packer(context.gallery_of(spec), store=store, kind=spec.image.format)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Return one row that describes what was packed."""
        return self._packer(batch)


def _stage(data: Any, stage: StageSpec, factory: Any, arguments: dict[str, Any]) -> Any:
    return data.map_batches(
        StageWorker,
        fn_constructor_kwargs={"factory": factory, "arguments": arguments},
        batch_size=stage.batch,
        batch_format="pyarrow",
        **_resources(stage),
    )


def _resources(stage: StageSpec) -> dict[str, Any]:
    low, high = stage.workers
    return {
        "num_cpus": stage.cpus,
        "num_gpus": stage.gpus,
        "compute": ray.data.ActorPoolStrategy(min_size=low, max_size=high),
    }
