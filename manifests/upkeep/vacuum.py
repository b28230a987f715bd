"""Vacuum: what only older versions need is let go."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from manifests.chain import live_shards
from manifests.moves import homes, replaced_shards, write_moves
from manifests.shards import FOLDER
from manifests.store import Store
from manifests.upkeep.gc import Garbage

KEPT = timedelta(days=7)
"""How long what was replaced is kept unless said otherwise."""


def vacuum(store: Store, *, older: timedelta = KEPT, dry_run: bool = False) -> Iterator[Garbage]:
    """Delete shards that a compaction replaced so long ago, and data files that only older versions of tables name.

    Yields what goes. Rows name shards as they did; ranges of those that are gone are read where they lie now
    (`manifests.moves`), and their indexes stay. A version of a table whose files went can no longer be opened. Raises
    OSError, and deletes nothing more, where a shard that replaces others is not there in its full size.
    """
    links = store.links()
    if not dry_run:
        write_moves(store.files, links)
    into, live = homes(links), {shard["name"]: shard for shard in live_shards(links)}
    times = {link.version: link.time for link in links}
    before = datetime.now(UTC) - older
    there = {found.name: found.size for found in store.files.list(f"{FOLDER}/")}
    for name, version in sorted(replaced_shards(links).items()):
        place = f"{FOLDER}/{name}"
        if place not in there or times[version] > before:
            continue
        home = live[into[name]]
        if there.get(f"{FOLDER}/{home['name']}") != home["bytes"]:
            raise OSError(f"shard {home['name']}, which replaces {name}, is not there in full; nothing more is deleted")
        yield Garbage(place, there[place], f"joined into {home['name']}")
        if not dry_run:
            store.files.delete(place)
    for table in store.tables.values():
        for name in table.vacuum(older, dry_run=dry_run):
            yield Garbage(name, 0, "of older versions only")
