"""What every column of every table means."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import pyarrow as pa
from pydantic import BaseModel, Field

from manifests.arrow_schema import arrow_schema
from manifests.audit.column_meanings import MEANINGS
from manifests.tables import TABLES


class CommitRow(BaseModel):
    """One version of the table `triplets`."""

    version: int = Field(description="Version of the table `triplets`, from 0.")
    time: datetime = Field(description="When it was committed, by the clock of the machine that did.")
    operation: str = Field(description="What Delta calls the change: WRITE, DELETE, OPTIMIZE.")
    digest: str | None = Field(description="Digest of the commit, which covers all before it; null outside the chain.")
    previous: str | None = Field(description="Digest of the commit before; its rows carry it as `follows`.")
    root: str | None = Field(description="Merkle root (RFC 6962) over the commit's rows and shards.")
    job: str | None = Field(description="The job that made it; null in commits of earlier releases.")
    rows: int = Field(description="Rows that it added.")
    shards: int = Field(description="Shards that it added.")


class ShardRow(BaseModel):
    """One shard, as the commit that added it describes it."""

    name: str = Field(description="File name, below `shards/`.")
    split: str = Field(description="`train` or `heldout`.")
    samples: int = Field(description="Accepted triplets in it.")
    bytes: int = Field(description="Size of the file.")
    sha256: str = Field(description="sha256 of the file.")
    version: int = Field(description="Version of `triplets` that added it.")
    joined_into: str | None = Field(description="The shard into which a compaction joined it; null while it lives.")


COMMITS, SHARDS = CommitRow, ShardRow

QUERIED: dict[str, type[BaseModel]] = {**TABLES, "commits": COMMITS, "shards": SHARDS}
"""What a query may name."""


@dataclass(frozen=True)
class Column:
    """One column: its SQL type, whether it may be null, and what it means."""

    table: str
    name: str
    type: str
    null: bool
    meaning: str


def schema() -> list[Column]:
    """Return all columns of all tables, in order."""
    return [
        Column(table, field.name, _type(field.type), field.nullable, _meaning(table, record, field.name))
        for table, record in QUERIED.items()
        for field in arrow_schema(record)
    ]


def _meaning(table: str, record: type[BaseModel], name: str) -> str:
    return record.model_fields[name].description or MEANINGS.get((table, name), "")


def _type(kind: pa.DataType) -> str:
    return f"list of {_type(kind.value_type)}" if pa.types.is_list(kind) else str(kind).partition("[")[0]
