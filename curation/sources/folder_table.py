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

    Blank cells are None; other columns are left out. Raises ValueError where there is no such table, it cannot be
    read, or it has no `file` column; the message names the mend.
    """
    if not path.is_file():
        raise ValueError(f"table {path} does not exist; name a .csv or .parquet file, or leave the key out")
    if path.suffix.lower() == ".parquet":
        yield from _parquet_rows(path)
    elif path.suffix.lower() == ".csv":
        yield from _csv_rows(path)
    else:
        raise ValueError(f"table {path} is neither .csv nor .parquet; convert it to one of them")


def _csv_rows(path: Path) -> Iterator[Row]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file)
        try:
            used = _used(path, list(reader.fieldnames or ()))
            for row in reader:
                yield {column: row.get(column) or None for column in used}
        except UnicodeDecodeError as error:
            raise ValueError(f"table {path} is not UTF-8 ({error.reason}); save it as UTF-8") from None
        except csv.Error as error:
            raise ValueError(f"table {path}, line {reader.line_num}, is not readable as CSV: {error}") from None


def _parquet_rows(path: Path) -> Iterator[Row]:
    try:
        with pq.ParquetFile(path) as table:
            used = _used(path, table.schema_arrow.names)
            for batch in table.iter_batches(columns=used):
                for row in batch.to_pylist():
                    yield {column: None if value in (None, "") else str(value) for column, value in row.items()}
    except (pa.ArrowException, OSError) as error:
        raise ValueError(f"table {path} is not readable as Parquet: {error}") from None


def _used(path: Path, names: list[str]) -> list[str]:
    if "file" not in names:
        found = ", ".join(names) or "none"
        raise ValueError(
            f"table {path} has no column `file`; add one with paths relative to the folder (found: {found})"
        )
    return [column for column in COLUMNS if column in names]
