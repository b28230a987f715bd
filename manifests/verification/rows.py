"""Rows of the tables against the Merkle roots of the commits that added them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing import get_context

import pyarrow as pa

from manifests.chain import PREVIOUS, record_leaf, root_of_leaves, row_leaf
from manifests.delta_log import DataFile
from manifests.merkle import root_of
from manifests.records import ROLES
from manifests.sample_record import mark_of_row
from manifests.store import Store
from manifests.tables import KEYS
from manifests.verification.findings import Finding, Kind
from manifests.verification.logs import Replayed, check_data_file

_ROWS_FOR_PROCESSES = 100_000

Leaf = tuple[str, bytes]
"""Key and leaf hash of a row."""


@dataclass(frozen=True)
class Stated:
    """What the manifest says of an accepted candidate."""

    images: tuple[str | None, ...]
    """Asset ids, in the order of ROLES."""
    mark: str
    """See `manifests.sample_record`."""


@dataclass
class TableRows:
    """What is kept of a table's rows: leaf hashes by the commit that they follow."""

    leaves: dict[str | None, list[Leaf]] = field(default_factory=lambda: defaultdict(list))
    accepted: dict[str, dict[str, Stated]] = field(default_factory=lambda: defaultdict(dict))
    """Of `triplets`: accepted candidates by shard."""
    tombstones: list[tuple[str, str | None, int | None, bytes]] = field(default_factory=list)
    """Of `erasures`: table, commit, place, leaf."""
    findings: list[Finding] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Return the number of rows."""
        return sum(map(len, self.leaves.values()))

    def add(self, other: TableRows) -> None:
        """Take the rows of another data file."""
        for follows, leaves in other.leaves.items():
            self.leaves[follows] += leaves
        for shard, stated in other.accepted.items():
            self.accepted[shard] |= stated
        self.tombstones += other.tombstones
        self.findings += other.findings


def read_rows(store: Store, name: str, state: Replayed, *, workers: int) -> TableRows:
    """Read every data file of a table, several at once: in processes where there are many rows."""
    tasks = [(store, name, file, file.path in state.active) for file in state.named.values()]
    whole = TableRows()
    for part in _mapped(tasks, workers, sum(file.rows or 0 for file in state.active.values())):
        whole.add(part)
    whole.findings += _repeated(name, whole)
    return whole


def _mapped(tasks: Sequence[tuple[Store, str, DataFile, bool]], workers: int, rows: int) -> Iterator[TableRows]:
    if workers > 1 and rows > _ROWS_FOR_PROCESSES:
        with ProcessPoolExecutor(workers, get_context("forkserver")) as processes:
            yield from processes.map(_read_file, tasks)
    else:
        with ThreadPoolExecutor(workers) as threads:
            yield from threads.map(_read_file, tasks)


def _read_file(task: tuple[Store, str, DataFile, bool]) -> TableRows:
    store, name, file, needed = task
    table, found = check_data_file(store.tables[name], file, needed=needed)
    rows = TableRows(findings=[found] if found else [])
    for batch in table.to_batches(max_chunksize=4096) if table is not None else ():
        _take(rows, name, batch)
    return rows


def _take(rows: TableRows, name: str, batch: pa.RecordBatch) -> None:
    leaf = row_leaf if name == "triplets" else record_leaf
    for row in batch.to_pylist():
        key = "/".join(str(row[column]) for column in KEYS[name])
        rows.leaves[row["follows"]].append((key, leaf(row)))
        if name == "triplets" and row["accepted"]:
            images = tuple(row[f"{role}_id"] for role in ROLES)
            rows.accepted[row["shard"] or "no shard"][key] = Stated(images, mark_of_row(row))
        if name == "erasures":
            rows.tombstones.append((row["table"], row["commit"], row["place"], bytes.fromhex(row["leaf"])))


def _repeated(name: str, rows: TableRows) -> Iterator[Finding]:
    counts = Counter(key for leaves in rows.leaves.values() for key, _ in leaves)
    twice = sum(count - 1 for count in counts.values() if count > 1)
    if twice:
        words = {"triplets": "candidates", "assets": "images"}.get(name, "rows")
        where = "the manifest" if name == "triplets" else f"`{name}`"
        yield Finding(Kind.ROW_REPEATED, name, f"{twice} {words} stand more than once in {where}")


def check_roots(name: str, state: Replayed, rows: TableRows, tombstones: TableRows) -> Iterator[Finding]:
    """Compute the root of every commit of a table from its rows, and from the tombstones of those that are gone."""
    gone: dict[str | None, list[tuple[int, bytes]]] = defaultdict(list)
    for table, commit, at, leaf in tombstones.tombstones:
        if table == name:
            gone[commit].append((at or 0, leaf))
    left = dict(rows.leaves)
    for one in state.links:
        leaves, erased = left.pop(one.previous, []), gone.pop(one.previous, [])
        again = {leaf for _, leaf in leaves} & {leaf for _, leaf in erased}
        place = f"{name}, commit {one.version}"
        if again:
            text = f"{len(again)} rows of commit {one.version} of `{name}` were taken down, and are there again"
            yield Finding(Kind.ERASED_REMAINS, place, text)
            leaves = [pair for pair in leaves if pair[1] not in again]
        if name == "triplets":
            root = root_of_leaves(leaves, one.shards, gone=erased, erased=one.erased)
        else:
            root = root_of(sorted([leaf for _, leaf in leaves] + [leaf for _, leaf in erased]))
        committed = sum(file.rows or 0 for file in state.entries[one.version].added)
        committed = 0 if state.entries[one.version].removed else committed
        if root != one.root:
            yield _difference(name, one.version, len(leaves) + len(erased), committed)
        elif len(leaves) + len(erased) != committed and state.entries[one.version].added:
            text = f"the log of `{name}` gives commit {one.version} another number of rows than it has"
            yield Finding(Kind.LOG_ENTRY_DAMAGED, place, text)
    yield from _outside(name, state, left, gone)


def _difference(name: str, version: int, count: int, committed: int) -> Finding:
    kind, what = Kind.ROW_EDITED, "a row was changed"
    if count < committed:
        kind, what = Kind.ROW_DELETED, f"{committed - count} rows are gone"
    elif count > committed:
        kind, what = Kind.ROW_ADDED, f"{count - committed} rows came to them"
    if name == "erasures":
        kind = Kind.TOMBSTONE_MISSING if count < committed else Kind.TOMBSTONE_EDITED
    text = f"the rows of commit {version} of `{name}` are not those that were committed: {what}"
    return Finding(kind, f"{name}, commit {version}", text)


def _outside(
    name: str,
    state: Replayed,
    left: Mapping[str | None, list[Leaf]],
    gone: Mapping[str | None, list[tuple[int, bytes]]],
) -> Iterator[Finding]:
    """Yield what is wrong with rows that no commit of the chain has: earlier releases had none beside `triplets`."""
    stray = sum(len(leaves) for follows, leaves in left.items() if follows is not None)
    if stray:
        yield Finding(Kind.ROW_ADDED, name, f"{stray} rows of `{name}` belong to no commit of the chain")
    if name == "triplets":
        return
    before = uncovered(state)
    count = len(left.get(None, [])) + len(gone.get(None, []))
    if count != before:
        kind = Kind.ROW_ADDED if count > before else Kind.ROW_DELETED
        text = f"`{name}` has {count} rows of before its chain, and the log says {before}"
        yield Finding(kind, name, text)


def uncovered(state: Replayed) -> int:
    """Return how many rows were added before a table had a chain."""
    entries = (entry for entry in state.entries.values() if PREVIOUS not in entry.info and not entry.removed)
    return sum(file.rows or 0 for entry in entries for file in entry.added)
