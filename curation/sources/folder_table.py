"""The table that describes the images of a folder."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

COLUMNS = ("file", "caption", "licence", "author", "subject", "style", "attribution_url")

Row = Mapping[str, str | None]


def read_table(path: Path) -> Iterator[Row]:
    """Yield the rows of a CSV (UTF-8, with a header) or Parquet table, with the columns of `COLUMNS` that it has.

    Space around a cell is dropped (not around file names), and blank cells are None; other columns are left out.
    Raises ValueError where there is no such table, it cannot be read, or it has no `file` column; the message names
    the mend.
    """
    if not path.is_file():
        raise ValueError(f"table {path} does not exist; name a .csv or .parquet file, or leave the key out")
    readers = {".parquet": _parquet_rows, ".csv": _csv_rows}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"table {path} is neither .csv nor .parquet; convert it to one of them")
    try:
        for row in reader(path):
            yield {column: _cell(column, value) for column, value in row.items()}
    except UnicodeDecodeError as error:
        raise ValueError(f"table {path} is not UTF-8 ({error.reason}); save it as UTF-8") from None
    except OSError as error:
        raise ValueError(f"table {path} cannot be read: {error.strerror or error}") from None


def _cell(column: str, value: object) -> str | None:
    if value is None:
        return None
    text = value.decode() if isinstance(value, bytes) else str(value)
    return (text if column == "file" else text.strip()) if text.strip() else None


def _csv_rows(path: Path) -> Iterator[Mapping[str, object]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        try:
            used = _used(path, list(reader.fieldnames or ()))
            for row in reader:
                yield {column: row.get(column) for column in used}
        except csv.Error as error:
            raise ValueError(f"table {path}, line {reader.line_num}, is not readable as CSV: {error}") from None


def _parquet_rows(path: Path) -> Iterator[Mapping[str, object]]:
    try:
        with pq.ParquetFile(path) as table:
            used = _used(path, table.schema_arrow.names)
            for batch in table.iter_batches(columns=used):
                yield from batch.to_pylist()
    except pa.ArrowException as error:
        raise ValueError(f"table {path} is not readable as Parquet: {error}") from None


def _used(path: Path, names: list[str]) -> list[str]:
    if "file" not in names:
        found = ", ".join(names) or "none"
        raise ValueError(
            f"table {path} has no column `file`; add one with paths relative to the folder (found: {found})"
        )
    return [column for column in COLUMNS if column in names]
