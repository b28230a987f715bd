"""The log of a table: replayed entry by entry, and held against its checkpoints and its data files."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.chain import GENESIS, Link, link_of
from manifests.delta_log import DataFile, DeltaLogError, Entry
from manifests.identities import asset_id
from manifests.merkle import link
from manifests.tables import Table
from manifests.verification.findings import Finding, Kind

_READERS = 16


@dataclass
class Replayed:
    """A table's log as it was read, without the help of checkpoints."""

    entries: dict[int, Entry] = field(default_factory=dict)
    links: list[Link] = field(default_factory=list)
    active: dict[str, DataFile] = field(default_factory=dict)
    """The data files that hold the rows now, by path."""
    named: dict[str, DataFile] = field(default_factory=dict)
    """All data files that any version names."""
    findings: list[Finding] = field(default_factory=list)


def replay(table: Table) -> Replayed:
    """Read a table's whole log, and say what is wrong with it and with its chain."""
    state = Replayed()
    newest = table.log.newest()
    with ThreadPoolExecutor(_READERS) as pool:
        for version, read in enumerate(pool.map(lambda version: _read(table, version), range(newest + 1))):
            if isinstance(read, Finding):
                state.findings.append(read)
                continue
            entry, one = read
            state.entries[version] = entry
            for path in entry.removed:
                state.active.pop(path, None)
            for file in (*entry.added, *entry.rewritten):
                state.active[file.path] = state.named[file.path] = file
            if one is not None:
                state.links.append(one)
    state.findings += _chain(table, state)
    state.findings += _checkpoints(table, state)
    return state


def _read(table: Table, version: int) -> tuple[Entry, Link | None] | Finding:
    place = f"{table.folder}/_delta_log/{version:020}.json"
    try:
        entry = table.log.read(version)
        if entry is None:
            return Finding(Kind.LOG_ENTRY_MISSING, place, f"version {version} of `{table.name}` is not in the log")
        return entry, link_of(entry)
    except DeltaLogError as error:
        return Finding(Kind.LOG_ENTRY_DAMAGED, place, f"`{table.name}`: {error}")


def _chain(table: Table, state: Replayed) -> Iterator[Finding]:
    previous = GENESIS
    for one in state.links:
        name, place = f"commit {one.version} of `{table.name}`", f"{table.name}, commit {one.version}"
        if one.previous != previous:
            yield Finding(Kind.CHAIN_BROKEN, place, f"{name} does not follow the commit before it")
        if one.digest != link(one.previous, one.root):
            yield Finding(Kind.COMMIT_REWRITTEN, place, f"{name} does not match its own digest")
        previous = one.digest


def _checkpoints(table: Table, state: Replayed) -> Iterator[Finding]:
    """Hold every checkpoint against the log: readers believe it in place of the entries before."""
    there = {found.name for found in table.files.list(f"{table.folder}/_delta_log/")}
    for name in sorted(one for one in there if one.endswith(".checkpoint.parquet")):
        version = int(name.rpartition("/")[2].partition(".")[0])
        if all(number in state.entries for number in range(version + 1)):
            wrong = _checkpoint(table.files.read(name), _expected(state, version))
            if wrong:
                text = f"the checkpoint of `{table.name}` at version {version} {wrong}"
                yield Finding(Kind.CHECKPOINT_EDITED, name, text)
    pointer = f"{table.folder}/_delta_log/_last_checkpoint"
    if pointer in there:
        try:
            version = int(json.loads(table.files.read(pointer))["version"])
        except (ValueError, KeyError, TypeError):
            version = -1
        if f"{table.folder}/_delta_log/{version:020}.checkpoint.parquet" not in there:
            text = f"the log of `{table.name}` points to a checkpoint that is not there"
            yield Finding(Kind.CHECKPOINT_EDITED, pointer, text)


def _expected(state: Replayed, version: int) -> dict[str, int]:
    active: dict[str, int] = {}
    for number in range(version + 1):
        entry = state.entries[number]
        for path in entry.removed:
            active.pop(path, None)
        active |= {file.path: file.size for file in (*entry.added, *entry.rewritten)}
    return active


def _checkpoint(data: bytes, expected: dict[str, int]) -> str:
    """Return what is wrong with a checkpoint, nothing where it lists the data files of the log."""
    try:
        adds: list[Any] = pq.read_table(io.BytesIO(data), columns=["add"])["add"].to_pylist()
    except (pa.ArrowException, OSError, KeyError):
        return "cannot be read"
    listed = {add["path"]: add["size"] for add in adds if add and add["path"]}
    return "" if listed == expected else "does not list the data files that the log names"


def check_data_file(table: Table, file: DataFile, *, needed: bool) -> tuple[pa.Table | None, Finding | None]:
    """Return the rows of a data file with its table's schema, or what is wrong with it.

    Of a file that only older versions need, nothing is wrong where it is gone, and its rows are not returned.
    """
    name = f"{table.folder}/{file.path}"
    try:
        data = table.files.read(name)
    except FileNotFoundError:
        text = f"`{table.name}` lacks its data file {file.path}"
        return None, Finding(Kind.DATA_FILE_MISSING, name, text) if needed else None
    damaged = Finding(Kind.DATA_FILE_DAMAGED, name, f"a data file of `{table.name}` has other bytes than were written")
    if len(data) != file.size or (file.sha256 is not None and asset_id(data) != file.sha256):
        return (_rows(table, data) if needed else None), damaged
    if not needed:
        return None, None
    rows = _rows(table, data)
    if rows is None or (file.rows is not None and rows.num_rows != file.rows):
        return rows, damaged
    return rows, None


def _rows(table: Table, data: bytes) -> pa.Table | None:
    try:
        read = pq.read_table(io.BytesIO(data))
        columns = [
            read[field.name].cast(field.type) if field.name in read.schema.names else pa.nulls(len(read), field.type)
            for field in table.schema
        ]
    except (pa.ArrowException, OSError, ValueError):
        return None
    return pa.table(columns, schema=pa.schema([field.with_nullable(True) for field in table.schema]))
