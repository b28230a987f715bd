"""Delta tables of the manifest: one per record type, created with the schema derived from it."""

from __future__ import annotations

import io
import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as pads
import pyarrow.parquet as pq
from deltalake import DeltaTable
from pydantic import BaseModel

from manifests.arrow_schema import arrow_schema
from manifests.data_files import merged, small_groups, with_all_columns
from manifests.delta_errors import TableError, in_a_line
from manifests.delta_log import (
    DataFile,
    DeltaLog,
    Entry,
    add_file,
    check_protocol,
    commit_info,
    new_table,
    remove_file,
    widened,
)
from manifests.files import WritableFiles, delta_options
from manifests.files.range_file import RangeFile
from manifests.known_ids import KnownIds, first_of_each
from manifests.records import Asset, Erasure, Job, Judgement, Triplet

TABLES: dict[str, type[BaseModel]] = {
    "assets": Asset,
    "triplets": Triplet,
    "judgements": Judgement,
    "jobs": Job,
    "erasures": Erasure,
}

KEYS: dict[str, tuple[str, ...]] = {
    "assets": ("ref_id",),
    "triplets": ("candidate_id",),
    "judgements": ("candidate_id", "judge_digest", "prompt_digest"),
    "jobs": ("job_id",),
    "erasures": ("takedown", "table", "leaf"),
}
"""Columns that tell the rows of a table apart."""

_CHECKPOINT = 100
"""Every so many versions a checkpoint sums the log up, so that readers need not read all of it."""

_ATTEMPTS = 200
_LONGEST_PAUSE = 2.0
_READINGS = 5
_READERS = 8
_FILES_AT_ONCE = 256


class StoreBusyError(RuntimeError):
    """Other writers came first, again and again."""


@dataclass(frozen=True)
class Addition:
    """Rows that are to be appended, and what the commit says of itself."""

    rows: pa.Table
    info: Mapping[str, str] = field(default_factory=dict)
    removed: Sequence[str] = ()
    """Data files that go in the same version: `rows` are what is left of theirs."""


class Table:
    """One Delta table: appended to in transactions, and read as Arrow.

    Any number of processes may append at once: each writes its rows to a file, and then claims the next number of the
    log, which one writer gets. Whoever comes too late reads what came in between, and tries the number after it.
    """

    def __init__(self, files: WritableFiles, name: str) -> None:
        self.name = name
        self.folder = f"tables/{name}"
        self.schema = arrow_schema(TABLES[name])
        self.log = DeltaLog(files, self.folder)
        self.files = files
        self._key = KEYS[name]
        self._lock = threading.RLock()
        self._version: int | None = None
        self._metadata: Mapping[str, Any] = {}
        self._known: KnownIds | None = None
        self._watchers: list[Callable[[Entry], None]] = []

    @property
    def place(self) -> str:
        """Return where the table lies, as deltalake wants it."""
        return str(self.files.local_path(self.folder) or f"{self.files.root}/{self.folder}")

    @property
    def exists(self) -> bool:
        """Tell whether anything was ever committed."""
        return self.log.read(0) is not None

    @property
    def version(self) -> int:
        """Return the newest version that this object has seen; -1 where there was no table."""
        with self._lock:
            return self.catch_up() if self._version is None else self._version

    def delta(self, version: int | None = None) -> DeltaTable:
        """Return the table at a version, or at its newest, as deltalake has it. Raises TableError."""
        options = delta_options(self.files.root)
        with in_a_line(self.place, options):
            return DeltaTable(self.place, version=version, storage_options=options)

    def watch(self, watcher: Callable[[Entry], None]) -> None:
        """Call a function with each version that is read or committed after now, in order."""
        self._watchers.append(watcher)

    def append(self, rows: pa.Table, *, info: Mapping[str, str] | None = None) -> int:
        """Append rows, with words that come back in the history, and return the version that holds them."""
        version = self.commit(lambda: Addition(rows, info or {}))
        assert version is not None
        return version

    def append_once(self, rows: pa.Table) -> int:
        """Append those rows whose key is not in the table yet, the first of each, and return how many they were."""
        kept = 0

        def fresh() -> Addition | None:
            nonlocal kept
            keys = self.keys(rows)
            kept_rows = rows.filter(pc.and_(first_of_each(keys), pc.invert(self.known().hold(keys)).combine_chunks()))
            kept = kept_rows.num_rows
            return Addition(kept_rows) if kept else None

        if rows.num_rows:
            self.commit(fresh)
        return kept

    def commit(self, prepare: Callable[[], Addition | None]) -> int | None:
        """Append what `prepare` gives, and return the version that holds it.

        `prepare` is called when every version there is has been seen, and again whenever another writer came first;
        where it gives None, nothing is written. Raises StoreBusyError where others always come first.
        """
        with self._lock:
            for attempt in range(_ATTEMPTS):
                version = self.catch_up() + 1
                addition = prepare()
                if addition is None:
                    return None
                entry = self._claim(version, addition)
                if entry is not None:
                    self._take(entry)
                    self._sum_up(version)
                    return version
                _wait(attempt)
        raise StoreBusyError(f"{self.place}: other jobs commit without end; start fewer jobs on one store at a time")

    def catch_up(self) -> int:
        """Read the versions that other writers have committed, and return the newest."""
        with self._lock:
            if self._version is None:
                self._version = self.log.newest()
                if self._version >= 0:
                    self._describe(self._version)
            for entry in self.log.after(self._version):
                self._take(entry)
            return self._version

    def keys(self, rows: pa.Table) -> pa.ChunkedArray:
        """Return what tells rows apart, one text a row."""
        columns = [rows[name].cast(pa.string()) for name in self._key]
        return columns[0] if len(columns) == 1 else pc.binary_join_element_wise(*columns, "/")

    def known(self) -> KnownIds:
        """Return the keys of all rows up to the version that was seen at least: read once, then kept up to date."""
        with self._lock:
            for left in range(_READINGS - 1, -1, -1):
                if self._known is not None:
                    break
                try:
                    self._known = self._read_keys()
                except FileNotFoundError:  # compacted and vacuumed since the log was read: read it anew
                    if not left:
                        raise
            assert self._known is not None
            return self._known

    def dataset(self) -> pads.Dataset:
        """Return the current rows as an Arrow dataset, which duckdb and others query without loading it.

        Columns that the table does not have yet, since an earlier release wrote it, are null.
        """
        if not self.exists:
            return pads.dataset(self.schema.empty_table())
        table = self.delta()
        with in_a_line(self.place, delta_options(self.files.root)):
            return table.to_pyarrow_dataset(schema=self.schema)

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield some columns of the current rows, batch by batch. Raises TableError."""
        data = self.dataset()
        with in_a_line(self.place, delta_options(self.files.root)):
            yield from data.to_batches(columns=list(columns))

    def read(self, columns: Sequence[str] | None = None, where: pads.Expression | None = None) -> pa.Table:
        """Return the current rows, or some columns of those that match. Raises TableError.

        Rows are matched batch by batch after reading: files that Delta rewrote (after a delete, say) hold strings in
        another layout, and pushing a filter down into them fails.
        """
        names = list(columns) if columns else self.schema.names
        schema = pa.schema([self.schema.field(name) for name in names])
        if where is None:
            parts = [pa.Table.from_batches([batch]).cast(schema) for batch in self.batches(names)]
        else:
            parts = [
                pa.Table.from_batches([batch]).cast(self.schema).filter(where).select(names)
                for batch in self.batches(self.schema.names)
            ]
        return pa.concat_tables(parts) if parts else schema.empty_table()

    def history(self) -> list[Mapping[str, Any]]:
        """Return what every commit says of itself, oldest first, with its `version`."""
        newest = self.catch_up()
        return [{**entry.info, "version": entry.version} for entry in self.log.between(0, newest)]

    def compact(self) -> int:
        """Merge small data files into larger ones; earlier versions stay readable. Returns how many were merged.

        deltalake's own `optimize` is not asked: where two run at once, both land, and every row stands twice. Here the
        merged file gets its version only if all that it replaces still stand; whoever comes second leaves them alone.
        """
        if not self.exists:
            return 0
        table = self.delta()
        files, seen = active_files(table), table.version()
        return sum(len(group) for group in small_groups(files) if self._replace(group, seen))

    def vacuum(self, older: timedelta, *, dry_run: bool) -> list[str]:
        """Delete data files that the newest version does not need and that were removed so long ago; return them."""
        if not self.exists:
            return []
        table, hours = self.delta(), int(older.total_seconds() // 3600)
        with in_a_line(self.place, delta_options(self.files.root)):
            gone: list[str] = table.vacuum(hours, dry_run=dry_run, enforce_retention_duration=False)
        return [f"{self.folder}/{name}" for name in gone]

    def read_data(self, path: str, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the rows of a data file, or some columns of them, with the types of the table's schema.

        Columns that it does not have, since an earlier release wrote it, are null.
        """
        schema = pa.schema([self.schema.field(name) for name in columns or self.schema.names])
        file = pq.ParquetFile(pa.BufferReader(self.files.read(f"{self.folder}/{path}")))
        there = set(file.schema_arrow.names)
        return with_all_columns(file.read(columns=[name for name in schema.names if name in there]), schema)

    def write_data(self, rows: pa.Table) -> tuple[str, dict[str, Any]]:
        """Write a data file that no version names yet; return its name and the action that adds it."""
        data = io.BytesIO()
        pq.write_table(rows, data)
        name = f"part-00000-{uuid.uuid4()}-c000.snappy.parquet"
        self.files.put(f"{self.folder}/{name}", data.getvalue())
        return name, add_file(name, data.getvalue(), rows.num_rows)

    def _claim(self, version: int, addition: Addition) -> Entry | None:
        rows = addition.rows.select(self.schema.names).cast(self.schema)
        actions = [commit_info("DELETE" if addition.removed else "WRITE", addition.info)]
        if version == 0:
            actions += new_table(self.schema)
        elif (wider := widened(self._metadata, self.schema)) is not None:
            actions.append(wider)
        name = None
        if rows.num_rows:
            name, action = self.write_data(rows)
            actions.append(action)
        actions += [remove_file(path) for path in addition.removed]
        entry = self.log.claim(version, actions)
        if entry is None and name is not None:
            self.files.delete(f"{self.folder}/{name}")
        return entry

    def _replace(self, old: Sequence[DataFile], seen: int) -> bool:
        """Put one file in the place of some that stood at a version, and tell whether: not where one went since."""
        try:
            data, rows = merged(old, self.schema, self._opened)
        except FileNotFoundError:
            return False
        except pa.ArrowInvalid as error:
            raise TableError(f"{self.place}: {error}") from None
        name = f"part-00000-{uuid.uuid4()}-c000.zstd.parquet"
        self.files.put(f"{self.folder}/{name}", data)
        paths = {file.path for file in old}
        actions = [add_file(name, data, rows, fresh=False), *(remove_file(path, rows_stay=True) for path in paths)]
        with self._lock:
            for attempt in range(_ATTEMPTS):
                newest = self.catch_up()
                if any(paths.intersection(entry.removed) for entry in self.log.between(seen + 1, newest)):
                    break
                seen = newest
                wider = widened(self._metadata, self.schema)
                words = [commit_info("OPTIMIZE", {}), *([wider] if wider else [])]
                entry = self.log.claim(newest + 1, [*words, *actions])
                if entry is not None:
                    self._take(entry)
                    self._sum_up(entry.version)
                    return True
                _wait(attempt)
        self.files.delete(f"{self.folder}/{name}")
        return False

    def _take(self, entry: Entry) -> None:
        if entry.protocol is not None:
            check_protocol(entry.protocol, self.place)
        if entry.metadata is not None:
            self._metadata = entry.metadata
        if entry.added and entry.removed:  # rows went: what was taken down is not to count as there
            self._known = None
        if self._known is not None:
            try:
                for keys in self._keys_of(entry.added):
                    self._known.add(keys)
            except FileNotFoundError:  # a later version has its rows in other files, and it was vacuumed away
                self._known = None
        self._version = entry.version
        for watcher in self._watchers:
            watcher(entry)

    def _describe(self, version: int) -> None:
        table = self.delta(version)
        with in_a_line(self.place, delta_options(self.files.root)):
            facts, protocol = table.metadata(), table.protocol()
            check_protocol({"minWriterVersion": protocol.min_writer_version}, self.place)
            self._metadata = {
                "id": str(facts.id),
                "format": {"provider": "parquet", "options": {}},
                "schemaString": table.schema().to_json(),
                "partitionColumns": facts.partition_columns,
                "configuration": facts.configuration,
                "createdTime": facts.created_time,
            }

    def _read_keys(self) -> KnownIds:
        known = KnownIds()
        if self.exists:
            for keys in self._keys_of(active_files(self.delta())):
                known.add(keys)
        return known

    def _keys_of(self, files: Sequence[DataFile]) -> Iterator[pa.ChunkedArray]:
        """Yield the keys of data files, those of some hundred files at once."""
        with ThreadPoolExecutor(_READERS) as pool:
            for start in range(0, len(files), _FILES_AT_ONCE):
                parts = pool.map(self._keys_in, files[start : start + _FILES_AT_ONCE])
                yield pa.chunked_array([chunk for part in parts for chunk in part.chunks], pa.string())

    def _keys_in(self, file: DataFile) -> pa.ChunkedArray:
        try:
            return self.keys(self._opened(file).read(columns=list(self._key)))
        except pa.ArrowInvalid as error:
            raise TableError(f"{self.files.root}/{self.folder}/{file.path}: {error}") from None

    def _opened(self, file: DataFile) -> pq.ParquetFile:
        name = f"{self.folder}/{file.path}"
        local = self.files.local_path(name)
        return pq.ParquetFile(local or io.BufferedReader(RangeFile(self.files, name, file.size), 1 << 16))

    def write_checkpoint(self, version: int) -> None:
        """Write a checkpoint, which sums the log up as of a version. Raises TableError."""
        table = self.delta(version)
        with in_a_line(self.place, delta_options(self.files.root)):
            table.create_checkpoint()

    def _sum_up(self, version: int) -> None:
        if version and version % _CHECKPOINT == 0:
            with suppress(TableError):  # the log says the same, only slower: the next hundred will have one
                self.write_checkpoint(version)


def _wait(attempt: int) -> None:
    """Let other writers go first, the longer the more often they were faster."""
    time.sleep(random.uniform(0, min(_LONGEST_PAUSE, 0.01 * 2**attempt)))


def active_files(table: DeltaTable) -> list[DataFile]:
    """Return the data files that hold the rows of a table at its version."""
    actions = pa.table(table.get_add_actions())
    return [DataFile(*pair) for pair in zip(*(actions[c].to_pylist() for c in ("path", "size_bytes")), strict=True)]
