"""How stages run on Ray Data: so that equal rows make equal shards, and workers are kept busy."""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import ray

from curation import logs
from curation.graph.resources import pool
from curation.graph.stage import StageWorker
from curation.spec.stages import StageSpec

_NAMES = "triptych_stages"
_QUEUES = "curation.graph.queues"


def task_rows(shard: int, batches: Sequence[int]) -> list[int]:
    """Return how many rows one task of each stage gets, for stages with these batch sizes and shards of `shard` rows.

    A task has at least its stage's batch (or the whole shard, where that is smaller), a whole number of the tasks
    before it, and divides a shard evenly: so no block is ever split, and each shard is packed of its own rows, however
    many workers there are and whoever is first. (A strict `repartition` would do the same, and hold a whole core.)
    """
    sizes: list[int] = []
    earlier = 1
    for batch in batches:
        wanted = min(max(batch, earlier), shard)
        earlier = next(rows for rows in range(wanted, shard + 1) if shard % rows == 0 and rows % earlier == 0)
        sizes.append(earlier)
    return sizes


class Stream:
    """Stages on Ray Data, one after the other, in the order in which they are added. Needs a running Ray."""

    def __init__(self, rows: pa.Table, stages: Mapping[str, StageSpec], *, shard: int) -> None:
        """Feed `rows` of the graph's schema, their column `batch` filled in, to these stages; `shard` rows are one."""
        self._stages = stages
        self._tasks = dict(zip(stages, task_rows(shard, [stage.batch for stage in stages.values()]), strict=True))
        self._shard = shard
        block = next(iter(self._tasks.values()))
        numbers = pa.array(np.arange(rows.num_rows) // shard, pa.int64())
        numbered = rows.set_column(rows.schema.get_field_index("batch"), "batch", numbers)
        blocks = [numbered.slice(start, block).combine_chunks() for start in range(0, rows.num_rows, block)]
        settings = ray.data.DataContext.get_current()
        settings.execution_options.preserve_order = True
        settings.target_max_block_size = None
        settings.set_config(_NAMES, [*stages, "pack"])
        _watch_queues(settings)
        self.data = ray.data.from_arrow(blocks)

    def then(self, name: str, factory: Any, arguments: dict[str, Any]) -> None:
        """Add a stage of rows by the factory that builds it in its workers."""
        resources = self._stages[name]
        worker = {
            "factory": factory,
            "arguments": arguments,
            "batch": resources.batch,
            "gpus": resources.gpus,
            "log": logs.current(),
        }
        self.data = self.data.map_batches(
            StageWorker,
            fn_constructor_kwargs=worker,
            batch_size=self._tasks[name],
            batch_format="pyarrow",
            **pool(resources),
        )

    def pack(self, worker: type, arguments: dict[str, Any], resources: StageSpec) -> Any:
        """Return the data set that `worker` makes of whole shards, one row for each."""
        return self.data.map_batches(
            worker,
            fn_constructor_kwargs=arguments,
            batch_size=self._shard,
            batch_format="pyarrow",
            **pool(resources),
        )


def _watch_queues(settings: Any) -> None:
    """Have Ray Data report the queues of each stage, where its version has the hook for that."""
    try:
        watch = importlib.import_module(_QUEUES).QueueWatch
    except ImportError:
        return
    if watch not in settings.custom_execution_callback_classes:
        settings.custom_execution_callback_classes.append(watch)
