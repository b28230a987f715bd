"""The chain of commits: each names the digest of the one before it, so that one digest stands for all."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from manifests.delta_log import DeltaLog, DeltaLogError, Entry
from manifests.merkle import leaf_of, link, root_of
from manifests.records import LATER, TIMES

GENESIS = "0" * 64
"""What the first commit names as the digest of the commit before it."""

ROOT, PREVIOUS, DIGEST, SHARDS = "triptych.root", "triptych.previous", "triptych.digest", "triptych.shards"
"""Keys of a commit's metadata."""

JOB = "triptych.job"
"""Key of a commit's metadata: the run that made it."""

ERASED = "triptych.erased"
"""Key of a commit's metadata, where a takedown made it: the shards that went without a trace (`shards`), and the digest
of the chain of `erasures` that holds the tombstones (`erasures`)."""

PARTS = "parts"
"""Key of a shard in a commit's metadata: of which parts of other shards it is made, which it replaces."""

_NOT_COVERED = {"follows", *TIMES}


@dataclass(frozen=True)
class Link:
    """One commit of the chain, as the version of `triplets` that holds it says."""

    version: int
    time: datetime
    """When it was committed, by the clock of the machine that did, in UTC."""
    root: str
    previous: str
    digest: str
    shards: list[dict[str, Any]]
    erased: Mapping[str, Any] | None = None
    """What a takedown says of itself: see ERASED."""


def link_of(entry: Entry) -> Link | None:
    """Return what a version says of its place in the chain; None where it stands outside. Raises DeltaLogError."""
    if DIGEST not in entry.info:
        return None
    root, previous, digest = (str(entry.info.get(key, "")) for key in (ROOT, PREVIOUS, DIGEST))
    try:
        time = datetime.fromtimestamp(int(entry.info.get("timestamp", 0)) / 1000, UTC)
        shards = json.loads(entry.info.get(SHARDS, "[]"))
        erased = json.loads(entry.info[ERASED]) if ERASED in entry.info else None
    except (ValueError, TypeError) as error:
        raise DeltaLogError(f"version {entry.version} says what no commit does ({type(error).__name__})") from None
    return Link(entry.version, time, root, previous, digest, shards, erased)


def commit_root(rows: Sequence[Mapping[str, Any]], shards: Sequence[Mapping[str, Any]]) -> str:
    """Return the Merkle root of a commit: over its rows of `triplets` in order of id, then its shards in order of name.

    `follows` is left out of the rows: it is the commit's own place in the chain, which the digest covers. So are the
    times that candidates took, and columns of later releases where they are null (`manifests.records.LATER`).
    """
    return root_of_leaves([(str(row["candidate_id"]), row_leaf(row)) for row in rows], shards)


def row_leaf(row: Mapping[str, Any]) -> bytes:
    """Return the leaf hash of a row of `triplets`: of those of its columns that a commit's root covers."""
    return leaf_of({key: value for key, value in row.items() if _is_covered(key, value)})


def root_of_leaves(
    leaves: Sequence[tuple[str, bytes]],
    shards: Sequence[Mapping[str, Any]],
    *,
    gone: Sequence[tuple[int, bytes]] = (),
    erased: Mapping[str, Any] | None = None,
) -> str:
    """Return the root of a commit from the ids and leaf hashes of its rows, in any order.

    `gone` gives the leaf hashes of rows that were taken down, each with its place among all rows in order of id;
    `erased` is what the commit of a takedown says of itself.
    """
    ordered = with_gone([leaf for _, leaf in sorted(leaves, key=lambda pair: pair[0])], gone)
    by_name = sorted(shards, key=lambda shard: str(shard["name"]))
    said = [leaf_of(erased)] if erased is not None else []
    return root_of(ordered + [leaf_of(shard) for shard in by_name] + said)


def with_gone(leaves: Sequence[bytes], gone: Sequence[tuple[int, bytes]]) -> list[bytes]:
    """Return leaves with those of rows that were taken down put back in their places."""
    whole = list(leaves)
    for place, leaf in sorted(gone):
        whole.insert(place, leaf)
    return whole


def record_leaf(row: Mapping[str, Any]) -> bytes:
    """Return the leaf hash of a row of a table beside `triplets`: of all that is not null, but for `follows`."""
    return leaf_of({key: value for key, value in row.items() if value is not None and key != "follows"})


def commit_words(
    previous: str,
    rows: Sequence[Mapping[str, Any]],
    shards: Sequence[Mapping[str, Any]],
    *,
    erased: Mapping[str, Any] | None = None,
) -> dict[str, str]:
    """Return what a commit of these rows and shards says of itself when it follows the commit with this digest."""
    root = root_of_leaves([(str(row["candidate_id"]), row_leaf(row)) for row in rows], shards, erased=erased)
    words = {ROOT: root, PREVIOUS: previous, DIGEST: link(previous, root)}
    words[SHARDS] = json.dumps(list(shards), sort_keys=True)
    return words if erased is None else {**words, ERASED: json.dumps(erased, sort_keys=True)}


def record_words(previous: str, leaves: Sequence[bytes]) -> dict[str, str]:
    """Return what an addition to a table beside `triplets` says of itself: its root is over its leaves in order."""
    root = root_of(sorted(leaves))
    return {ROOT: root, PREVIOUS: previous, DIGEST: link(previous, root)}


def following(rows: pa.Table, previous: str) -> pa.Table:
    """Return rows as those of the commit that follows the one with this digest."""
    column = rows.schema.get_field_index("follows")
    return rows.set_column(column, "follows", pa.array([previous] * rows.num_rows, pa.string()))


class Chain:
    """What one process knows of the chain: the head at once, all links when they are asked for, and new ones as read.

    Give every version of `triplets` that is read or committed to `take`: nothing is read twice.
    """

    def __init__(self, log: DeltaLog) -> None:
        self._log = log
        self._lock = threading.RLock()
        self._head: tuple[int, str] | None = None
        self._links: list[Link] = []
        self._read = -1

    def take(self, entry: Entry) -> None:
        """Go on with the next version."""
        with self._lock:
            if self._head is not None and entry.version == self._head[0] + 1:
                self._head = entry.version, str(entry.info.get(DIGEST, self._head[1]))
            if entry.version == self._read + 1:
                self._go_on(entry)

    def head(self, version: int) -> str:
        """Return the digest of the newest commit at a version of `triplets`, which covers all before it."""
        with self._lock:
            if self._head is None or self._head[0] != version:
                self._head = version, self._look_back(version)
            return self._head[1]

    def links(self, version: int) -> list[Link]:
        """Return the commits up to a version of `triplets`, oldest first. Raises DeltaLogError on a gap in the log."""
        with self._lock:
            if version > self._read:
                for entry in self._log.between(self._read + 1, version):
                    self._go_on(entry)
            return [link for link in self._links if link.version <= version]

    def _go_on(self, entry: Entry) -> None:
        found = link_of(entry)
        if found is not None:
            self._links.append(found)
        self._read = entry.version

    def _look_back(self, version: int) -> str:
        for number in range(version, -1, -1):
            entry = self._log.read(number)
            if entry is not None and DIGEST in entry.info:
                return str(entry.info[DIGEST])
        return GENESIS


def live_shards(links: Sequence[Link]) -> list[dict[str, Any]]:
    """Return the shards that hold the data set after these commits, in order of name: those that none has replaced."""
    shards: dict[str, dict[str, Any]] = {}
    for one in links:
        for shard in one.shards:
            shards[shard["name"]] = shard
            for part in shard.get(PARTS, ()):
                shards.pop(part["shard"], None)
        for name in (one.erased or {}).get("shards", ()):
            shards.pop(name, None)
    return [shards[name] for name in sorted(shards)]


def _is_covered(column: str, value: Any) -> bool:
    return column not in _NOT_COVERED and (value is not None or column not in LATER)
