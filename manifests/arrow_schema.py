"""Arrow schemas derived from pydantic records, so that a record is defined once."""

from __future__ import annotations

import types
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal, Union, get_args, get_origin

import pyarrow as pa
from pydantic import BaseModel

_SCALARS: dict[Any, pa.DataType] = {
    str: pa.string(),
    int: pa.int64(),
    float: pa.float64(),
    bool: pa.bool_(),
    bytes: pa.binary(),
    datetime: pa.timestamp("us", tz="UTC"),
}


def arrow_schema(record: type[BaseModel]) -> pa.Schema:
    """Return the Arrow schema of a record type: one field for each of its own, nullable where it allows None."""
    fields = []
    for name, field in record.model_fields.items():
        kind, nullable = _arrow_type(field.annotation)
        fields.append(pa.field(name, kind, nullable=nullable))
    return pa.schema(fields)


def to_table(record: type[BaseModel], rows: Iterable[BaseModel]) -> pa.Table:
    """Return rows of one record type as an Arrow table with the schema of that type, also when there are none."""
    return pa.Table.from_pylist([row.model_dump() for row in rows], schema=arrow_schema(record))


def _arrow_type(annotation: Any) -> tuple[pa.DataType, bool]:
    origin, args = get_origin(annotation), get_args(annotation)
    if origin in (Union, types.UnionType):
        (inner,) = (arg for arg in args if arg is not type(None))
        return _arrow_type(inner)[0], True
    if origin is Literal:
        return pa.string(), False
    if origin in (list, tuple):
        return pa.list_(_arrow_type(args[0])[0]), False
    if annotation in _SCALARS:
        return _SCALARS[annotation], False
    raise TypeError(f"no Arrow type is known for {annotation!r}; use a scalar, a list of scalars, or add it here")
