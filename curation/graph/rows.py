"""The row that travels through the graph: a candidate, its images as encoded so far, and what is known of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from manifests.arrow_schema import arrow_schema
from manifests.images import ImageRef
from manifests.records import ROLES, Triplet

Row = dict[str, Any]

_LATE = ("shard", "offset", "follows")
"""Columns of a triplet that only packing and committing know."""

SCHEMA: pa.Schema = pa.schema(
    [field.with_nullable(True) for field in arrow_schema(Triplet) if field.name not in _LATE]
    + [pa.field(f"{role}_image", pa.large_binary()) for role in ROLES]
    + [pa.field(f"{role}_origin", pa.string()) for role in ROLES]
    + [pa.field("style_transform", pa.string()), pa.field("fault", pa.string()), pa.field("batch", pa.int64())]
    + [pa.field("judgement", pa.string())]
    + [pa.field(f"{role}_choice", pa.string()) for role in ("stylize", "destylize")]
)
"""Schema of the rows between stages. Declared, since a column that is null throughout a block would change type.

`stylize_choice` and `destylize_choice` name the expert that a row is to be served by; null: the one that its id draws.
"""


def to_table(rows: Sequence[Row]) -> pa.Table:
    """Return rows as a table with the schema of the graph."""
    return pa.Table.from_pylist(list(rows), schema=SCHEMA)


def origin_of(row: Row, role: str) -> ImageRef:
    """Return where an image of the row came from."""
    return ImageRef.model_validate_json(row[f"{role}_origin"])


def is_open(row: Row) -> bool:
    """Tell whether the row is still worth work: nothing has rejected it so far."""
    return not row["reasons"]


def reject(row: Row, reason: str, detail: str | None = None) -> None:
    """Give a row a reason, and the detail of what happened where there is one."""
    row["reasons"] = [*row["reasons"], reason]
    if detail is not None:
        row["errors"] = [*row["errors"], f"{reason}: {detail}"]


def short_reason(reason: str) -> str:
    """Return a reason without what differs from row to row, to count by."""
    return reason.split(":", 1)[0] if reason.startswith("duplicate_of:") else reason
