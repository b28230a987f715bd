"""Erasing rows from tables, and samples from shards: one version of each table that has some."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests.chain import live_shards
from manifests.moves import parts_of
from manifests.shard_joining import join, read_index
from manifests.store import Store
from manifests.tables import Addition, Table, active_files
from manifests.takedown.reach import COLUMNS, Reach, gone_of


def erase(store: Store, reach: Reach) -> None:
    """Erase what goes from all tables, `triplets` last, and from the shards in the same version as from `triplets`.

    Each table's version names the data files that go and one with what is left of them. A shard that holds samples that
    go is replaced by one without them, which the chain says as of a compaction; one that holds nothing else is
    named as erased. Where nothing is left to be erased, nothing is committed.
    """
    for table in (store.assets, store.judgements):
        if table.exists:
            table.commit(lambda table=table: _pruned(table, reach))  # type: ignore[misc]  # the loop's own table
    store.triplets.commit(lambda: _without(store, reach))


def _without(store: Store, reach: Reach) -> Addition | None:
    pruned = _pruned(store.triplets, reach)
    shards, erased = list[Mapping[str, Any]](), list[str]()
    for shard in live_shards(store.links()):
        keys = [sample["key"] for sample in read_index(store.files, shard["name"])["samples"]]
        keep = [key for key in keys if key not in reach.candidates]
        if not keep:
            erased.append(shard["name"])
        elif len(keep) < len(keys):
            joined = join(store.files, [shard["name"]], split=shard["split"], keep=set(keep))
            shards.append(parts_of(joined.shard.described(), joined.parts))
    if pruned is None and not shards and not erased:
        return None
    words = store.erasing_words(shards, {"shards": erased, "erasures": store.erasures.head()})
    rows, removed = (pruned.rows, pruned.removed) if pruned else (store.triplets.schema.empty_table(), ())
    return Addition(rows, words, removed)


def _pruned(table: Table, reach: Reach) -> Addition | None:
    """Return what is left of the data files that hold rows that go; None where none does."""
    gone, left, removed = gone_of(reach, table.name), list[pa.Table](), list[str]()
    table.catch_up()
    for file in active_files(table.delta()):
        rows = table.read_data(file.path)
        mask = gone(rows)
        if pc.any(mask).as_py():
            removed.append(file.path)
            left.append(rows.filter(pc.invert(mask)))
    return Addition(pa.concat_tables(left), {}, removed) if removed else None


def holds(table: Table, path: str, reach: Reach) -> bool:
    """Tell whether a data file holds rows that go."""
    rows = table.read_data(path, COLUMNS[table.name])
    return bool(pc.any(gone_of(reach, table.name)(rows)).as_py())


def without_samples(index: bytes, keys: set[str]) -> bytes | None:
    """Return the index of a shard without some samples, None where none of them is in it."""
    parsed = json.loads(index)
    kept = [sample for sample in parsed["samples"] if sample["key"] not in keys]
    if len(kept) == len(parsed["samples"]):
        return None
    return json.dumps({**parsed, "samples": kept}, sort_keys=True).encode()
