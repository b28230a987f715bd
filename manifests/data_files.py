"""Data files of tables: which are small, and what they hold in one."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.delta_log import DataFile

LARGE = 100 * 2**20
"""Bytes from which a data file is large enough to be left alone."""


def small_groups(files: Iterable[DataFile]) -> list[list[DataFile]]:
    """Return which files to merge: groups of two and more, each of about `LARGE` bytes at most, in the order given."""
    groups, size = list[list[DataFile]](), LARGE
    for file in files:
        if file.size >= LARGE:
            continue
        if size + file.size > LARGE:
            groups.append([])
            size = 0
        groups[-1].append(file)
        size += file.size
    return [group for group in groups if len(group) > 1]


def merged(
    files: Sequence[DataFile], schema: pa.Schema, opened: Callable[[DataFile], pq.ParquetFile]
) -> tuple[bytes, int]:
    """Return the rows of some files as one file, and how many they are; columns that a file lacks are null.

    One batch is held at a time beside what is compressed already. Raises FileNotFoundError where a file went.
    """
    out, rows = io.BytesIO(), 0
    with pq.ParquetWriter(out, schema, compression="zstd") as writer:
        for file in files:
            for batch in opened(file).iter_batches():
                writer.write_table(with_all_columns(pa.Table.from_batches([batch]), schema))
                rows += batch.num_rows
    return out.getvalue(), rows


def with_all_columns(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return rows with the columns and types of a schema; those that they lack are null."""
    columns = [
        rows[field.name].cast(field.type) if field.name in rows.schema.names else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)
