"""An index of ids: which data files of a table hold an id, or the ids that begin with some digits.

Ids are hashes, so the minimum and maximum that Parquet and Delta keep of every file exclude nothing, and a Bloom filter
answers whole ids only and costs a read of every file. This index holds, for each Parquet file (they are never
changed), the first 64 bits of its ids in order: 12 bytes for each id. It is made once, and searched by bisection.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from manifests.audit.cache import write_whole
from manifests.audit.hexadecimal import bytes_of
from manifests.audit.table_at import PLACE, DataFile, TableAt
from manifests.identities import digest_of

if TYPE_CHECKING:
    import duckdb

DIGITS = 16
"""Hexadecimal digits of an id that are indexed."""

INDEXED_FROM = 200_000
"""Rows from which a table is worth an index; a smaller one is read whole."""

KEYS: dict[str, str] = {
    "origin": "CASE WHEN source <> 'generated' THEN md5(source || ':' || locator) END",
    "input": "unnest(CASE WHEN source = 'generated' THEN list_transform("
    "from_json(json_extract(transform, '$.inputs'), '[\"VARCHAR\"]'), "
    "lambda one: md5(regexp_replace(one, ' [^ ]*$', ''))) END)",
    "parcel": "unnest(list_transform(string_split(package, '; '), lambda one: md5(one)))",
}
"""Keys of `assets` that are no ids themselves: md5 of where an image came from (`source:locator`), of each image that
an expert saw, and of each package that is named."""

_SEGMENT_ROWS = 1_000_000
_MOST_SMALL = 8

Keys = NDArray[np.uint64]


@dataclass(frozen=True)
class _Segment:
    names: tuple[str, ...]
    path: Path

    @property
    def keys(self) -> Keys:
        found: Keys = np.load(self.path.with_suffix(".keys.npy"), mmap_mode="r")
        return found

    @property
    def places(self) -> NDArray[np.uint32]:
        found: NDArray[np.uint32] = np.load(self.path.with_suffix(".places.npy"), mmap_mode="r")
        return found


class IdIndex:
    """Finds data files by id.

    Each key is indexed apart. A key is a column of hexadecimal ids of 16 digits or more, or one of KEYS.
    """

    def __init__(self, folder: Path, connection: duckdb.DuckDBPyConnection, *, from_rows: int = INDEXED_FROM) -> None:
        self._folder = folder
        self._connection = connection
        self.from_rows = from_rows
        self._segments: dict[tuple[str, str], list[_Segment]] = {}

    def files(self, table: TableAt, columns: Sequence[str], ids: Sequence[str]) -> list[DataFile]:
        """Return the files of a table that may hold one of the ids, or ids that begin with them, in these columns.

        All of them where the table is small, or an id is no hexadecimal number. Raises OSError where files are gone.
        """
        ranges = [_range(one) for one in ids]
        if table.rows < self.from_rows or any(found is None for found in ranges):
            return table.files
        wanted: set[str] = set()
        for column in columns:
            for segment in self._open(table, column):
                wanted |= _search(segment, [found for found in ranges if found is not None])
        return [file for file in table.files if file.name in wanted]

    def _open(self, table: TableAt, column: str) -> list[_Segment]:
        key = (table.name, column)
        folder = self._folder / f"{table.name}-{column}"
        segments = self._segments.get(key) or _read(folder)
        indexed = {name for segment in segments for name in segment.names}
        missing = [file for file in table.files if file.name not in indexed]
        small = [segment for segment in segments if len(segment.names) and segment.keys.size < _SEGMENT_ROWS // 2]
        if missing and len(small) >= _MOST_SMALL:
            again = {name for segment in small for name in segment.names}
            missing = [file for file in table.files if file.name in again] + missing
            for segment in small:
                _forget(segment)
            segments = [segment for segment in segments if segment not in small]
        for group in _grouped(missing):
            segments = [*segments, self._make(folder, table, column, group)]
        self._segments[key] = segments
        return segments

    def _make(self, folder: Path, table: TableAt, column: str, files: Sequence[DataFile]) -> _Segment:
        keys, places = self._keys(table, column, files)
        order = np.lexsort((places, keys))
        keys, places = keys[order], places[order]
        fresh = np.ones(keys.size, bool)
        fresh[1:] = (keys[1:] != keys[:-1]) | (places[1:] != places[:-1])
        names = tuple(file.name for file in files)
        segment = _Segment(names, folder / digest_of(list(names)))
        folder.mkdir(parents=True, exist_ok=True)
        np.save(segment.path.with_suffix(".keys.npy"), keys[fresh])
        np.save(segment.path.with_suffix(".places.npy"), places[fresh])
        write_whole(segment.path.with_suffix(".json"), json.dumps(names).encode())
        return segment

    def _keys(self, table: TableAt, column: str, files: Sequence[DataFile]) -> tuple[Keys, NDArray[np.uint32]]:
        """Return the keys of the ids of some files, and for each the place of its file among them."""
        values = f"SELECT {KEYS.get(column, column)} AS id, {PLACE} FROM ({table.select(files, tagged=PLACE)})"
        rows = self._connection.sql(
            f"SELECT substr(id, 1, {DIGITS}) AS id, {PLACE}::UINTEGER AS place FROM ({values}) WHERE id <> ''"
        ).to_arrow_table()
        raw = bytes_of(rows["id"])
        keys = raw.reshape(-1).view(">u8").astype(np.uint64) if len(raw) else np.zeros(0, np.uint64)
        return keys, rows["place"].to_numpy()


def _range(prefix: str) -> tuple[int, int] | None:
    """Return the first and the last key of ids that begin so; None where it is no hexadecimal number."""
    head = prefix[:DIGITS]
    if not head or set(head) - set("0123456789abcdef"):
        return None
    return int(head.ljust(DIGITS, "0"), 16), int(head.ljust(DIGITS, "f"), 16)


def _search(segment: _Segment, ranges: Sequence[tuple[int, int]]) -> set[str]:
    keys = segment.keys
    first = np.searchsorted(keys, np.array([low for low, _ in ranges], np.uint64), side="left")
    last = np.searchsorted(keys, np.array([high for _, high in ranges], np.uint64), side="right")
    hits = [np.asarray(segment.places[a:b]) for a, b in zip(first, last, strict=True) if a < b]
    return {segment.names[number] for number in np.unique(np.concatenate(hits))} if hits else set()


def _grouped(files: Sequence[DataFile]) -> list[list[DataFile]]:
    """Return files in groups of so many rows that sorting one takes little memory."""
    groups: list[list[DataFile]] = []
    rows = _SEGMENT_ROWS
    for file in files:
        if rows >= _SEGMENT_ROWS:
            groups.append([])
            rows = 0
        groups[-1].append(file)
        rows += file.rows
    return groups


def _read(folder: Path) -> list[_Segment]:
    segments = []
    for path in sorted(folder.glob("*.json")):
        try:
            names = tuple(json.loads(path.read_text()))
        except ValueError:  # damaged: made again
            continue
        segment = _Segment(names, path.with_suffix(""))
        if all(segment.path.with_suffix(end).is_file() for end in (".keys.npy", ".places.npy")):
            segments.append(segment)
    return segments


def _forget(segment: _Segment) -> None:
    for end in (".json", ".keys.npy", ".places.npy"):
        segment.path.with_suffix(end).unlink(missing_ok=True)
