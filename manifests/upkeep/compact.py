"""Compaction: small shards are joined into larger ones, and small data files of tables too."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from manifests.chain import live_shards
from manifests.moves import parts_of, write_moves
from manifests.shard_joining import join
from manifests.store import Store

TARGET = 512 * 2**20
"""Bytes that a joined shard has at most."""


@dataclass
class Compacted:
    """What a compaction did."""

    shards_before: int = 0
    shards_after: int = 0
    bytes: int = 0
    data_files: int = 0


def compact(
    store: Store, *, target: int = TARGET, progress: Callable[[int, int], None] = lambda _done, _all: None
) -> Compacted:
    """Join shards that are smaller than half of `target`, those of one split with each other, and return what was done.

    Each joined shard is one commit: no row changes, and the chain says of which parts of which shards it is made. What
    was replaced stays until it is vacuumed, so that readers of any version go on. Interrupted, it goes on with the rest
    when it is run again. Jobs may write meanwhile. Raises DamagedShardError where a sample is not what its index says.
    """
    done = Compacted()
    groups = _groups(store, target)
    for number, group in enumerate(groups, start=1):
        names = [shard["name"] for shard in group]
        joined = join(store.files, names, split=group[0]["split"])
        if store.commit_joined([parts_of(joined.shard.described(), joined.parts)], names):
            done.shards_before += len(names)
            done.shards_after += 1
            done.bytes += joined.shard.bytes
        progress(number, len(groups))
    write_moves(store.files, store.links())
    if groups:
        store.write_index()
    done.data_files = sum(table.compact() for table in store.tables.values())
    return done


def _groups(store: Store, target: int) -> list[list[dict[str, Any]]]:
    """Return shards to be joined, in the order in which they were committed."""
    links = store.links()
    live = {shard["name"]: shard for shard in live_shards(links)}
    ordered = dict.fromkeys(shard["name"] for link in links for shard in link.shards if shard["name"] in live)
    groups = list[list[dict[str, Any]]]()
    for split in ("train", "heldout"):
        small = [live[name] for name in ordered if live[name]["split"] == split and 2 * live[name]["bytes"] < target]
        groups += [group for group in _filled(small, target) if len(group) > 1]
    return groups


def _filled(shards: Sequence[dict[str, Any]], target: int) -> list[list[dict[str, Any]]]:
    groups, size = list[list[dict[str, Any]]](), target
    for shard in shards:
        if size + shard["bytes"] > target:
            groups.append([])
            size = 0
        groups[-1].append(shard)
        size += shard["bytes"]
    return groups
