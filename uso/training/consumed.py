"""Which samples a run has used: told from its record and its order, long after, and without the store."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from uso.training.catalog import Catalog, runs_of
from uso.training.order import Order, Position, Rows, SourceSizes
from uso.training.state import checkpoints, load_state

RECORD = "samples.parquet"

_SEED, _BATCH, _WINDOW, _SHARES = b"triptych.seed", b"triptych.batch", b"triptych.window", b"triptych.shares"


@dataclass(frozen=True)
class Use:
    """How often a checkpoint's weights had been trained on a sample."""

    checkpoint: Path
    step: int
    times: int


def record_samples(catalog: Catalog, order: Order, path: Path) -> None:
    """Write the ids of all samples that a run may use, and what its order follows from."""
    columns = {
        "candidate_id": catalog.ids(),
        "source": pa.concat_arrays(
            [pa.array(np.full(source.rows.num_rows, number, np.int16)) for number, source in enumerate(catalog.sources)]
        ),
        "shard": pa.chunked_array([chunk for source in catalog.sources for chunk in source.rows["shard"].chunks]),
        "bucket": pa.array(np.concatenate([source.buckets for source in catalog.sources])),
    }
    metadata = {
        _SEED: str(order.seed),
        _BATCH: str(order.batch),
        _WINDOW: str(order.window),
        _SHARES: ",".join(str(source.share) for source in order.sources),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}")
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), draft)
    draft.replace(path)


def uses(out: Path, candidates: Collection[str]) -> dict[str, list[Use]]:
    """Return, for each candidate that the run may use, how often each of its checkpoints had seen it.

    Raises ValueError when the folder holds no run.
    """
    path = out / RECORD
    if not path.is_file():
        raise ValueError(f"{out}: holds no record of a run ({RECORD})")
    table = pq.read_table(path)
    order = _order(table)
    ids = table["candidate_id"].to_pylist()
    wanted = set(candidates)
    rows: dict[str, list[int]] = {}
    for row, candidate in enumerate(ids):
        if candidate in wanted:  # a mixture may hold it more than once
            rows.setdefault(candidate, []).append(row)
    found: dict[str, list[Use]] = {candidate: [] for candidate in rows}
    for step, folder in checkpoints(out):
        counts = used(order, load_state(folder).position)
        for candidate, places in rows.items():
            found[candidate].append(Use(folder, step, int(counts[places].sum())))
    return found


def used(order: Order, position: Position) -> Rows:
    """Return how often each row was used before a position."""
    counts = np.zeros(sum(source.samples for source in order.sources), dtype=np.int64)
    for epoch in range(position.epoch + 1):
        rows = order.rows(epoch)
        batches = rows if epoch < position.epoch else rows[: position.batch]
        counts += np.bincount(batches.reshape(-1), minlength=len(counts))
    return counts


def _order(table: pa.Table) -> Order:
    metadata = table.schema.metadata
    source, buckets = table["source"].to_numpy(), table["bucket"].to_numpy().astype(np.int32)
    sizes = []
    for number, share in enumerate(metadata[_SHARES].decode().split(",")):
        mine = source == number
        shards = runs_of(table["shard"].filter(pa.array(mine)))
        sizes.append(SourceSizes(tuple(size for _, size in shards), buckets[mine], int(share)))
    return Order(sizes, seed=int(metadata[_SEED]), batch=int(metadata[_BATCH]), window=int(metadata[_WINDOW]))
