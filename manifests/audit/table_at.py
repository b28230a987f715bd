"""One table of a store at one version, as SQL over its Parquet files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import DeltaTable

from manifests.audit.cache import write_whole
from manifests.audit.errors import AuditError
from manifests.files import Files

RECORDED, PLACE = "recorded", "place"
"""Tags of rows: when their file was committed, in milliseconds since 1970; and its place in the list of files."""

_READERS = 4

_SQL_TYPES: Mapping[pa.DataType, str] = {
    pa.string(): "VARCHAR",
    pa.int64(): "BIGINT",
    pa.float64(): "DOUBLE",
    pa.bool_(): "BOOLEAN",
    pa.binary(): "BLOB",
    pa.timestamp("us", tz="UTC"): "TIMESTAMPTZ",
}


@dataclass(frozen=True)
class DataFile:
    """One Parquet file of a table: its path below the table's folder, and its rows."""

    name: str
    rows: int
    bytes: int
    milliseconds: int


class TableAt:
    """The Parquet files of one version of a Delta table.

    A file is never changed once it is written, so whatever is learnt of one is true for good. Files of earlier
    releases lack later columns: those read as null.
    """

    def __init__(self, name: str, delta: DeltaTable, schema: pa.Schema, files: Files, cache: Path) -> None:
        self.name = name
        self.version = delta.version()
        self.schema = schema
        self._files = files
        self._footers = cache / f"{name}-footers.json"
        self._kept: _Kept | None = None
        actions = pa.table(delta.get_add_actions(flatten=True))
        columns = ("path", "num_records", "size_bytes", "modification_time")
        rows = zip(*(actions[column].to_pylist() for column in columns), strict=True)
        self.files = [DataFile(path, records or 0, size, time) for path, records, size, time in rows]

    @property
    def rows(self) -> int:
        """Return how many rows the version has, as its log says."""
        return sum(file.rows for file in self.files)

    def place(self, file: DataFile) -> str:
        """Return the path under which DuckDB opens a file."""
        name = f"tables/{self.name}/{file.name}"
        local = self._files.local_path(name)
        return str(local) if local is not None else f"triptych://{name}"

    def select(self, files: Sequence[DataFile] | None = None, *, tagged: str = "") -> str:
        """Return a SELECT of all columns over the version, or over some of its files.

        `tagged` is RECORDED or PLACE: a column of that name, which tells it of every row, comes last.
        """
        chosen = self.files if files is None else list(files)
        if not chosen:
            nulls = ", ".join(f'NULL::{_sql_type(field.type)} AS "{field.name}"' for field in self.schema)
            return f"SELECT {nulls}{f', 0::BIGINT AS {tagged}' if tagged else ''} WHERE false"
        groups: dict[tuple[str, ...], list[tuple[DataFile, int]]] = {}
        for number, (file, columns) in enumerate(zip(chosen, self._columns(chosen), strict=True)):
            tag = file.milliseconds if tagged == RECORDED else number
            groups.setdefault(columns, []).append((file, tag))
        return " UNION ALL ".join(self._select_alike(group, names, tagged) for names, group in groups.items())

    def _select_alike(self, files: Sequence[tuple[DataFile, int]], columns: Sequence[str], tagged: str) -> str:
        listed = ", ".join(
            f'"{field.name}"' if field.name in columns else f'NULL::{_sql_type(field.type)} AS "{field.name}"'
            for field in self.schema
        )
        source = f"read_parquet([{', '.join(_quoted(self.place(file)) for file, _ in files)}])"
        if not tagged:
            return f"SELECT {listed} FROM {source}"
        tags = ", ".join(f"({number}, {tag})" for number, (_, tag) in enumerate(files))
        return f"SELECT {listed}, {tagged} FROM {source} JOIN (VALUES {tags}) AS tags(n, {tagged}) ON file_index = n"

    def _columns(self, files: Sequence[DataFile]) -> list[tuple[str, ...]]:
        """Return the columns of each file, out of its footer or what is kept of it."""
        if self._kept is None:
            self._kept = _read_kept(self._footers)
        kept = self._kept
        missing = [file for file in files if file.name not in kept.columns]
        if missing:
            with ThreadPoolExecutor(_READERS) as pool:
                for file, columns in zip(missing, pool.map(self._footer, missing), strict=True):
                    kept.columns[file.name] = columns
            write_whole(self._footers, kept.to_json())
        return [kept.columns[file.name] for file in files]

    def _footer(self, file: DataFile) -> tuple[str, ...]:
        name = f"tables/{self.name}/{file.name}"
        local = self._files.local_path(name)
        try:
            source = pa.BufferReader(_tail(self._files, name, file.bytes)) if local is None else str(local)
            return tuple(pq.read_schema(source).names)
        except (OSError, pa.ArrowInvalid) as error:
            raise AuditError(
                f"{self._files.root}/{name}: cannot be read; was the table vacuumed, or copied only in part? "
                f"{str(error).splitlines()[0]}"
            ) from None


@dataclass
class _Kept:
    columns: dict[str, tuple[str, ...]]

    def to_json(self) -> bytes:
        shapes = list(dict.fromkeys(self.columns.values()))
        numbers = {shape: number for number, shape in enumerate(shapes)}
        return json.dumps({"shapes": shapes, "files": {n: numbers[s] for n, s in self.columns.items()}}).encode()


def _read_kept(path: Path) -> _Kept:
    try:
        raw = json.loads(path.read_bytes())
        shapes = [tuple(shape) for shape in raw["shapes"]]
        return _Kept({name: shapes[number] for name, number in raw["files"].items()})
    except (OSError, ValueError, KeyError, IndexError, TypeError):  # not there yet, or of another release
        return _Kept({})


def _tail(files: Files, name: str, size: int) -> bytes:
    """Return the last part of a Parquet file, from its footer on, in two small reads."""
    length = int.from_bytes(files.read_range(name, size - 8, 4), "little")
    return files.read_range(name, size - 8 - length, length + 8)


def _sql_type(kind: pa.DataType) -> str:
    return f"{_SQL_TYPES[kind.value_type]}[]" if pa.types.is_list(kind) else _SQL_TYPES[kind]


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
