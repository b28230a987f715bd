"""Garbage: what writers left behind that were cut off, or came second."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from manifests.files import Facts
from manifests.shards import FOLDER
from manifests.store import Store
from manifests.tables import Table

GRACE = timedelta(hours=1)
"""How old a file must be before it counts as left behind: a younger one may be of a job that is about to commit."""


@dataclass(frozen=True)
class Garbage:
    """One file, or unfinished write, that no commit names."""

    name: str
    bytes: int
    why: str


def collect(store: Store, *, grace: timedelta = GRACE, dry_run: bool = False) -> Iterator[Garbage]:
    """Delete what no commit names and is older than the grace period, and yield it; only yield it on a dry run.

    These are shards and indexes that no commit has ever named (those that a compaction replaced are vacuum's), data
    files that no version of a table names, and writes that have begun and not ended: multipart uploads are aborted.
    The store is listed first and its commits are read afterwards, and once more before anything is deleted, so that
    whatever is committed meanwhile is kept. Jobs may go on writing; one that takes longer than the grace period
    between packing a shard and committing it must be made again.
    """
    before = datetime.now(UTC) - grace
    for unfinished in list(store.files.unfinished()):
        if unfinished.started <= before:
            yield Garbage(unfinished.name, 0, "a write that was cut off")
            if not dry_run:
                store.files.abandon(unfinished)
    yield from _unnamed(store, f"{FOLDER}/", lambda: _shard_names(store), before, dry_run, "a shard of no commit")
    for table in store.tables.values():
        named = lambda table=table: _data_files(table)  # noqa: E731 - the loop's own table
        yield from _unnamed(store, f"{table.folder}/", named, before, dry_run, "a data file of no version")


def _unnamed(
    store: Store, prefix: str, named: Callable[[], set[str]], before: datetime, dry_run: bool, why: str
) -> Iterator[Garbage]:
    old = [found for found in store.files.list(prefix) if found.modified <= before and _is_data(found)]
    if old and not dry_run:
        named()  # reads most of the log now, so that what is read again below is short
    kept = named() if old else set()
    for found in sorted((found for found in old if found.name not in kept), key=lambda found: found.name):
        yield Garbage(found.name, found.size, why)
        if not dry_run:
            store.files.delete(found.name)


def _is_data(found: Facts) -> bool:
    return "/_delta_log/" not in found.name or found.name.endswith(".tmp")


def _shard_names(store: Store) -> set[str]:
    names = {shard["name"] for link in store.links() for shard in link.shards}
    return {f"{FOLDER}/{name}{end}" for name in names for end in ("", ".index.json")}


def _data_files(table: Table) -> set[str]:
    entries = table.log.between(0, table.catch_up())
    return {f"{table.folder}/{file.path}" for entry in entries for file in (*entry.added, *entry.rewritten)}
