"""Parquet files with the images inside, which `datasets` shows as images."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from manifests.records import ROLES

_IMAGE = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
_KINDS: Mapping[pa.DataType, str] = {
    pa.string(): "string",
    pa.int64(): "int64",
    pa.float64(): "float64",
    pa.bool_(): "bool",
}


def schema_with_images(columns: pa.Schema) -> pa.Schema:
    """Return the schema of the files: three images, then the columns; with the features that `datasets` reads."""
    fields = [pa.field(role, _IMAGE) for role in ROLES] + [field.remove_metadata() for field in columns]
    features: dict[str, Any] = {role: {"_type": "Image"} for role in ROLES}
    features |= {field.name: {"dtype": _KINDS[field.type], "_type": "Value"} for field in columns}
    return pa.schema(fields, {"huggingface": json.dumps({"info": {"features": features}})})


def write_parquet(
    path: Path, schema: pa.Schema, rows: Sequence[Mapping[str, Any]], images: Sequence[Mapping[str, tuple[str, bytes]]]
) -> None:
    """Write one file; it appears under its name when it is whole. Few rows make a group: images are large."""
    full = [
        {**row, **{role: {"bytes": data, "path": _name(row, role, kind)} for role, (kind, data) in shown.items()}}
        for row, shown in zip(rows, images, strict=True)
    ]
    part = path.with_suffix(".part")
    pq.write_table(pa.Table.from_pylist(full, schema), part, compression="zstd", row_group_size=100)
    part.replace(path)


def _name(row: Mapping[str, Any], role: str, extension: str) -> str:
    return f"{row['candidate_id']}.{role}.{extension}"
