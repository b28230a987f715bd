"""How a store fares, read from anywhere: what is committed, and which jobs are at work on it."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation.graph.rows import short_reason
from curation.heartbeat import Beat, beats
from manifests.store import Store


@dataclass
class Committed:
    """What a store holds."""

    candidates: int = 0
    accepted: int = 0
    shards: int = 0
    bytes: int = 0
    """Of its shards."""
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, rows: pa.RecordBatch | pa.Table) -> None:
        """Count rows of `triplets`."""
        self.candidates += rows.num_rows
        self.accepted += pc.sum(rows["accepted"]).as_py() or 0
        for reason, count in Counter(pc.list_flatten(rows["reasons"]).to_pylist()).items():
            self.reasons[short_reason(reason)] += count

    def copy(self) -> Committed:
        """Return a copy that can be counted on."""
        return replace(self, reasons=Counter(self.reasons))


_COLUMNS = ("accepted", "reasons")


@dataclass(frozen=True)
class Status:
    """A store at a moment."""

    committed: Committed
    running: list[Beat]
    silent: list[Beat]
    """Jobs that gave no sign of life for too long: killed, or cut off from the store."""
    last: dict[str, Any] | None
    """The job that ended last: its id, status, and when it ended."""

    def to_json(self) -> dict[str, Any]:
        """Return the status as plain values."""
        return {
            "committed": {**vars(self.committed), "reasons": dict(self.committed.reasons.most_common())},
            "running": [beat.model_dump(mode="json") for beat in self.running],
            "silent": [beat.model_dump(mode="json") for beat in self.silent],
            "last": self.last,
        }


class Watch:
    """Reads a store's status again and again; what was counted is not read again, unless rows went. Raises OSError."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._version = -1
        self._committed = Committed()
        self._lock = threading.Lock()

    def look(self) -> Status:
        """Return how the store fares now; several threads may ask."""
        with self._lock:
            self._catch_up()
        now = datetime.now(UTC)
        found = sorted(beats(self._store.files), key=lambda beat: beat.started)
        return Status(
            committed=self._committed,
            running=[beat for beat in found if not beat.late(now)],
            silent=[beat for beat in found if beat.late(now)],
            last=self._last(),
        )

    def _catch_up(self) -> None:
        before, version = self._version, self._store.triplets.catch_up()
        if version == before:
            return
        counted = None if before < 0 else self._counted_since(before, version)
        if counted is None:
            counted = Committed()
            for batch in self._store.triplets.batches(_COLUMNS):
                counted.add(batch)
        shards = self._store.committed_shards()
        counted.shards, counted.bytes = len(shards), sum(shard["bytes"] for shard in shards)
        self._version, self._committed = version, counted

    def _counted_since(self, before: int, version: int) -> Committed | None:
        """Return what was counted before with what came since; None where rows went, or were merged away meanwhile."""
        counted = self._committed.copy()
        triplets = self._store.triplets
        for entry in triplets.log.between(before + 1, version):
            if entry.removed and not entry.rewritten:
                return None
            for file in entry.added:
                try:
                    counted.add(triplets.read_data(file.path, _COLUMNS))
                except FileNotFoundError:
                    return None
        return counted

    def _last(self) -> dict[str, Any] | None:
        rows = self._store.jobs.read(["job_id", "status", "finished"]).to_pylist() if self._store.jobs.exists else []
        if not rows:
            return None
        newest = max(rows, key=lambda row: row["finished"])
        return {**newest, "finished": newest["finished"].isoformat()}
