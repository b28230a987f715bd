"""Sweeping a store after an erasure: every file that still holds something of what went."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from manifests.audit.cache import cache_of
from manifests.chain import live_shards
from manifests.files.range_file import RangeFile
from manifests.moves import write_moves
from manifests.shards import FOLDER, index_of_stream
from manifests.store import Store
from manifests.tables import Table, active_files
from manifests.takedown.erase import holds, without_samples
from manifests.takedown.journal import FOLDER as TAKEDOWNS
from manifests.takedown.reach import Reach

_INDEX = ".index.json"
_GRACE = timedelta(hours=1)

_EVERYTHING = ("cache/bought/", "report/index.html")
"""What holds pictures and does not say of whom: a cache that can be bought again, a page that can be written anew."""


def sweep(store: Store, reach: Reach) -> None:
    """Delete or write anew what holds something of what went. Does nothing where it was done already."""
    write_moves(store.files, store.links())
    _sweep_shards(store, reach.candidates)
    for table in (store.assets, store.judgements, store.triplets):
        if table.exists:
            _sweep_data(table, reach)
            _sweep_log(table)
    for candidate in reach.candidates:
        store.files.delete(store.strip(candidate))
    _sweep_answers(store, reach)
    for prefix in _EVERYTHING:
        for found in list(store.files.list(prefix)):
            store.files.delete(found.name)
    _sweep_unfinished(store)
    store.write_index()
    if store.files.local_path("") is not None:
        shutil.rmtree(cache_of(str(store.files.root)), ignore_errors=True)


def _sweep_shards(store: Store, candidates: set[str]) -> None:
    live = {shard["name"] for shard in live_shards(store.links())}
    there = {found.name: found.size for found in store.files.list(f"{FOLDER}/")}
    for name in sorted(there):
        shard = name.removeprefix(f"{FOLDER}/").removesuffix(_INDEX)
        if shard in live:
            continue
        if name.endswith(_INDEX):
            changed = without_samples(store.files.read(name), candidates)
            if changed is None:
                continue
            store.files.delete(f"{FOLDER}/{shard}")
            if json.loads(changed)["samples"]:
                store.files.put(name, changed)
            else:
                store.files.delete(name)
        elif f"{name}{_INDEX}" not in there and _holds(store, name, there[name], candidates):
            store.files.delete(name)


def _holds(store: Store, name: str, size: int, candidates: Collection[str]) -> bool:
    """Tell whether a shard without an index holds some candidates; one that cannot be read may."""
    try:
        index = index_of_stream(io.BufferedReader(RangeFile(store.files, name, size)), name=name, split="train")
    except Exception:  # a tar that was cut off: it is of no commit either
        return True
    return any(sample["key"] in candidates for sample in index["samples"])


def _sweep_data(table: Table, reach: Reach) -> None:
    """Delete the data files of older versions, and of none, that hold rows that went."""
    table.catch_up()
    active = {file.path for file in active_files(table.delta())}
    for found in list(table.files.list(f"{table.folder}/")):
        path = found.name.removeprefix(f"{table.folder}/")
        if path.endswith(".parquet") and "/" not in path and path not in active:
            with suppress(pa.ArrowInvalid, FileNotFoundError):
                if holds(table, path, reach):
                    table.files.delete(found.name)


def _sweep_log(table: Table) -> None:
    """Take the bounds of columns out of the log: compactions write them, and they are ids and names of rows.

    Checkpoints repeat them; the newest version gets a new one where there was one.
    """
    log = [found.name for found in table.files.list(f"{table.folder}/_delta_log/")]
    for name in sorted(log):
        if not name.endswith(".json") or b"minValues" not in (data := table.files.read(name)):
            continue
        actions = [json.loads(line) for line in data.splitlines() if line.strip()]
        for action in actions:
            for kind in ("add", "remove"):
                stats = json.loads((action.get(kind) or {}).get("stats") or "{}")
                if stats:
                    action[kind]["stats"] = json.dumps({"numRecords": stats.get("numRecords")})
        table.files.put(name, "".join(json.dumps(action) + "\n" for action in actions).encode())
    summed = [name for name in log if name.endswith(("checkpoint.parquet", "_last_checkpoint"))]
    for name in sorted(summed, key=lambda name: name.endswith(".parquet")):  # the pointer first
        table.files.delete(name)
    if summed:
        table.write_checkpoint(table.catch_up())


def _sweep_answers(store: Store, reach: Reach) -> None:
    """Delete answers of a judge on what went, which were kept until they were committed."""
    for found in list(store.files.list("cache/answers/")):
        try:
            said = json.loads(store.files.read(found.name))
            ids = {said.get(f"{role}_id") for role in ("target", "content", "style")}
            gone = said.get("candidate_id") in reach.candidates or bool(ids & reach.asset_ids)
        except (ValueError, AttributeError):  # cut off: it counts as none
            gone = True
        if gone:
            store.files.delete(found.name)


def _sweep_unfinished(store: Store) -> None:
    """Abandon writes that were cut off: drafts of journals at once, others when no job can be about them any more."""
    before = datetime.now(UTC) - _GRACE
    for write in list(store.files.unfinished()):
        if write.started <= before or Path(write.name).parts[:1] == (TAKEDOWNS,):
            store.files.abandon(write)
