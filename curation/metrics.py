"""What a job counts while it runs: exported by Ray at each node's metrics port, as `ray_<name>`, for Prometheus.

Outside a running Ray all of this does nothing. Labels take few values: a stage, a state, a device, a shortened reason;
never an id, a path or a message.
"""

from __future__ import annotations

import re
import sys
import threading
import time
from collections import Counter as Tally
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

Kind = Literal["counter", "gauge", "histogram"]

_SECONDS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
_MOST_REASONS = 100
_OTHER = "other"
_TICK = 1.0


@dataclass(frozen=True)
class Metric:
    """One metric by its name, with the labels that every record of it gives."""

    name: str
    kind: Kind
    description: str
    labels: tuple[str, ...] = ()

    def add(self, value: float = 1.0, **labels: str) -> None:
        """Add to a counter; adding nothing records nothing."""
        if value > 0 and _inside_ray():
            self._instrument.inc(value, labels)

    def set(self, value: float, **labels: str) -> None:
        """Set a gauge."""
        if _inside_ray():
            self._instrument.set(value, labels)

    def observe(self, value: float, **labels: str) -> None:
        """Put a value into a histogram. Ray exports its sum from the middles of its buckets, so it is approximate."""
        if _inside_ray():
            self._instrument.observe(value, labels)

    @cached_property
    def _instrument(self) -> Any:
        from ray.util import metrics

        if self.kind == "histogram":
            return metrics.Histogram(self.name, self.description, boundaries=list(_SECONDS), tag_keys=self.labels)
        kind = metrics.Counter if self.kind == "counter" else metrics.Gauge
        return kind(self.name, self.description, tag_keys=self.labels)


CANDIDATES = Metric(
    "triptych_candidates_total",
    "counter",
    "Candidates committed, by what became of them: accepted, rejected, failed, skipped.",
    ("state",),
)
REASONS = Metric("triptych_reasons_total", "counter", "Reasons on committed candidates, shortened.", ("reason",))
STAGE_ROWS = Metric("triptych_stage_rows_total", "counter", "Rows that a stage worked on.", ("stage",))
STAGE_SECONDS = Metric("triptych_stage_seconds", "histogram", "Seconds of one call of a stage.", ("stage",))
BUSY = Metric("triptych_stage_busy_seconds_total", "counter", "Seconds in which workers worked.", ("stage", "device"))
ACTOR = Metric(
    "triptych_stage_actor_seconds_total", "counter", "Seconds in which workers were there.", ("stage", "device")
)
QUEUE = Metric("triptych_queue_rows", "gauge", "Rows that wait before a stage.", ("stage",))
BYTES = Metric(
    "triptych_bytes_total", "counter", "Bytes of encoded targets read, and of shards written.", ("direction",)
)
RETRIES = Metric("triptych_retries_total", "counter", "What was tried again: rows of a batch, attempts.", ("what",))
COST = Metric("triptych_cost_total", "counter", "GPU seconds, tokens and requests of the judge.", ("kind",))
COMMITS = Metric("triptych_commits_total", "counter", "Commits to the store.")
SHARDS = Metric("triptych_shards_total", "counter", "Shards committed.")
SPILLED = Metric(
    "triptych_spilled_bytes_total", "counter", "Bytes that object stores moved to disk since they were full."
)

ALL: tuple[Metric, ...] = (
    *(CANDIDATES, REASONS, STAGE_ROWS, STAGE_SECONDS, BUSY, ACTOR),
    *(QUEUE, BYTES, RETRIES, COST, COMMITS, SHARDS, SPILLED),
)
"""Every metric that a job exports."""


class WorkerClock:
    """How much of its life a stage's worker works; ticks once a second, so that rates are right in long calls too."""

    def __init__(self, stage: str, *, gpus: float = 0.0) -> None:
        self._labels = {"stage": stage, "device": "gpu" if gpus > 0 else "cpu"}
        self._gpus = gpus
        self._lock = threading.Lock()
        self._last = time.perf_counter()
        self._working = False
        if _inside_ray():
            threading.Thread(target=self._run, name=f"clock of {stage}", daemon=True).start()

    @contextmanager
    def work(self, rows: int) -> Iterator[None]:
        """Count the time of one call on so many rows as work."""
        start = time.perf_counter()
        self._turn(working=True)
        try:
            yield
        finally:
            self._turn(working=False)
            STAGE_SECONDS.observe(time.perf_counter() - start, stage=self._labels["stage"])
            STAGE_ROWS.add(rows, stage=self._labels["stage"])

    def _turn(self, *, working: bool) -> None:
        with self._lock:
            self._account()
            self._working = working

    def _account(self) -> None:
        now = time.perf_counter()
        passed, self._last = now - self._last, now
        ACTOR.add(passed, **self._labels)
        if self._working:
            BUSY.add(passed, **self._labels)
            COST.add(passed * self._gpus, kind="gpu_seconds")

    def _run(self) -> None:
        while True:
            time.sleep(_TICK)
            with self._lock:
                self._account()


def count_commit(triplets: pa.Table, judgements: pa.Table | None, shard_bytes: Sequence[int]) -> None:
    """Count one commit: rows of `triplets` and `judgements`, and the sizes of its shards."""
    states = Tally(state_of(row["accepted"], row["reasons"]) for row in _rows(triplets, "accepted", "reasons"))
    for state, count in states.items():
        CANDIDATES.add(count, state=state)
    reasons = Tally(bounded(reason) for row in _rows(triplets, "reasons") for reason in row["reasons"])
    for reason, count in reasons.items():
        REASONS.add(count, reason=reason)
    RETRIES.add(triplets.num_rows - triplets["attempt"].null_count, what="attempt")
    if judgements is not None and judgements.num_rows:
        COST.add(_total(judgements, "tokens_in") + _total(judgements, "tokens_out"), kind="judge_tokens")
        COST.add(_total(judgements, "requests"), kind="requests")
    BYTES.add(sum(shard_bytes), direction="written")
    COMMITS.add()
    SHARDS.add(len(shard_bytes))


def state_of(accepted: bool, reasons: Sequence[str]) -> str:
    """Return what became of a candidate: accepted, skipped (its target was no good), failed (in a stage), rejected."""
    if accepted:
        return "accepted"
    if any(reason.startswith(("ingest", "duplicate_of")) for reason in reasons):
        return "skipped"
    failed = (_NAME.match(reason) for reason in reasons)
    return "failed" if any(match and match[0].endswith("_failed") for match in failed) else "rejected"


_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,47}")
_seen: set[str] = set()


def bounded(reason: str) -> str:
    """Return a reason as a label: the name of the rule or of what failed, without threshold, id or message.

    A process gives at most a hundred different labels; whatever comes after those is `other`.
    """
    match = _NAME.match(reason)
    label = match[0] if match else _OTHER
    if label == "ingest" and (detail := _NAME.match(reason[len("ingest:") :])):
        label = f"ingest:{detail[0]}"
    if label not in _seen:
        if len(_seen) >= _MOST_REASONS:
            return _OTHER
        _seen.add(label)
    return label


def _rows(table: pa.Table, *columns: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = table.select(list(columns)).to_pylist()
    return rows


def _total(table: pa.Table, column: str) -> int:
    return int(pc.sum(table[column]).as_py() or 0)


def _inside_ray() -> bool:
    """Tell whether this process is connected to Ray, without importing it where nothing else has."""
    ray = sys.modules.get("ray")
    return ray is not None and bool(ray.is_initialized())
