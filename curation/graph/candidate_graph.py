"""The second graph: load, stylize, destylize, score, judge, decide, pack; one streaming execution on Ray Data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import ray
from numpy.typing import NDArray

from curation import context
from curation.experts import expert_digests
from curation.graph.pack import Packer, from_ipc
from curation.graph.stage import StageWorker
from curation.spec.model import JobSpec, StageSpec
from manifests.shards import Shard
from manifests.store import Store


@dataclass(frozen=True)
class Packed:
    """What one commit takes: the rows of the manifest, the shards, and the counts for the funnel."""

    triplets: pa.Table
    assets: pa.Table
    judgements: pa.Table
    shards: list[Shard]
    counts: dict[str, Any]


def curate(spec: JobSpec, rows: pa.Table, *, bank: NDArray[np.float32], store: Store) -> Iterator[Packed]:
    """Yield what is to be committed, one batch of `spec.shards.candidates` rows after the other. Needs a running Ray.

    Order is preserved through the graph, and blocks are never split and divide a batch evenly, so that equal rows make
    equal shards however many workers there are. (A strict `repartition` would do the same, and hold a whole core.)
    """
    if not rows.num_rows:
        return
    size = spec.shards.candidates
    block = block_rows(size, at_most=4 * spec.stages.load.batch)
    numbers = pa.array(np.arange(rows.num_rows) // size, pa.int64())
    numbered = rows.set_column(rows.schema.get_field_index("batch"), "batch", numbers)
    blocks = [numbered.slice(start, block).combine_chunks() for start in range(0, rows.num_rows, block)]
    settings = ray.data.DataContext.get_current()
    settings.execution_options.preserve_order = True
    settings.target_max_block_size = None
    data = ray.data.from_arrow(blocks)
    data = _stage(data, spec.stages.load, context.load_stage, {"spec": spec})
    stylizers, destylizers = expert_digests(spec, "stylize"), expert_digests(spec, "destylize")
    data = _stage(data, spec.stages.stylize, context.stylize_stage, {"spec": spec, "digests": stylizers})
    data = _stage(data, spec.stages.destylize, context.destylize_stage, {"spec": spec, "digests": destylizers})
    data = _stage(data, spec.stages.score, context.score_stage, {"spec": spec, "bank": bank})
    if spec.judge:
        data = _stage(data, spec.stages.judge, context.judge_stage, {"spec": spec, "answers": store.answers})
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
            judgements=from_ipc(row["judgements"]),
            shards=[Shard(**shard) for shard in json.loads(row["shards"])],
            counts=json.loads(row["counts"]),
        )


def block_rows(size: int, *, at_most: int) -> int:
    """Return the largest number of rows, up to a bound, that divides a batch of `size` rows evenly."""
    return max(divisor for divisor in range(1, min(size, at_most) + 1) if size % divisor == 0)


class PackWorker:
    """Decides on one batch of rows by the policy, and packs it, inside a Ray actor."""

    def __init__(self, spec: JobSpec, store: Store) -> None:
        self._decide = StageWorker(context.decide_stage, {"spec": spec})
        self._packer = Packer(context.gallery_of(spec), store=store, kind=spec.image.format)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Return one row that describes what was packed. Raises RuntimeError on rows of more than one batch."""
        numbers = set(batch["batch"].to_pylist())
        if len(numbers) != 1:
            raise RuntimeError(f"the graph mixed the batches {sorted(numbers)}; shards would depend on its timing")
        return self._packer(self._decide(batch))


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
