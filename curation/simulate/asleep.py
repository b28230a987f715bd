"""The candidate graph on a real Ray, with stages that sleep as long as the models would take.

Sleeping workers cost no core, so a laptop runs the graph of a cluster: GPUs are simulated by `ray.init(num_gpus=16)`.
What is measured is everything but the models: scheduling, queues, order, batches.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import pyarrow as pa

from curation.graph.rows import SCHEMA, Row
from curation.graph.stage import Stage
from curation.graph.streaming import Stream
from curation.metrics import WorkerClock
from curation.spec.stages import StageSpec


@dataclass(frozen=True)
class Pace:
    """How long a stage takes: to start a worker, for each call, for each row; in seconds."""

    row: float
    call: float = 0.0
    start: float = 0.0


class SleepingStage(Stage):
    """Sleeps instead of working."""

    def __init__(self, name: str, pace: Pace) -> None:
        self.name = name
        self._pace = pace
        time.sleep(pace.start)

    def process(self, rows: list[Row]) -> None:
        """Sleep as long as these rows would take."""
        time.sleep(self._pace.call + self._pace.row * len(rows))


class SleepingPack:
    """Stands for packing: sleeps, and names the shard by its rows."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._clock = WorkerClock("pack")
        time.sleep(pace.start)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Return one row: which shard, how many rows, and a digest of their ids in order."""
        with self._clock.work(batch.num_rows):
            time.sleep(self._pace.call + self._pace.row * batch.num_rows)
        ids = "".join(batch["candidate_id"].to_pylist())
        numbers = sorted(set(batch["batch"].to_pylist()))
        digest = hashlib.sha256(ids.encode()).hexdigest()
        return pa.table({"numbers": [numbers], "rows": [batch.num_rows], "digest": [digest]})


@dataclass(frozen=True)
class SleptShard:
    """A shard that was not written: which it is, its rows, the digest of their ids, and when it was there."""

    numbers: list[int]
    rows: int
    digest: str
    seconds: float


def run_asleep(
    stages: Mapping[str, StageSpec], paces: Mapping[str, Pace], *, rows: int, shard: int, row_bytes: int = 0
) -> Iterator[SleptShard]:
    """Yield the shards of a sleeping run, as they come; `stages` ends with `pack`. Needs a running Ray."""
    names = [name for name in stages if name != "pack"]
    stream = Stream(_candidates(rows, row_bytes), {name: stages[name] for name in names}, shard=shard)
    for name in names:
        stream.then(name, SleepingStage, {"name": name, "pace": paces[name]})
    packed = stream.pack(SleepingPack, {"pace": paces["pack"]}, stages["pack"])
    start = time.monotonic()
    for row in packed.iter_rows():
        yield SleptShard(list(row["numbers"]), row["rows"], row["digest"], time.monotonic() - start)


def _candidates(rows: int, row_bytes: int) -> pa.Table:
    """Return rows that no stage has rejected, each with an image of so many bytes (all of them share one)."""
    columns = {name: pa.nulls(rows, SCHEMA.field(name).type) for name in SCHEMA.names}
    columns["candidate_id"] = pa.array([f"{number:064x}" for number in range(rows)])
    for name in ("reasons", "errors", "skipped", "licences"):
        columns[name] = pa.array([[]] * rows, pa.list_(pa.string()))
    columns["target_image"] = pa.array([b"\0" * row_bytes] * rows, pa.large_binary())
    return pa.table(columns, schema=SCHEMA)
