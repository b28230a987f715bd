"""Delta tables of the manifest: one per record type, created with the schema derived from it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as pads
from deltalake import CommitProperties, DeltaTable, write_deltalake
from pydantic import BaseModel

from manifests.arrow_schema import arrow_schema
from manifests.records import Asset, Job, Judgement, Triplet

TABLES: dict[str, type[BaseModel]] = {"assets": Asset, "triplets": Triplet, "judgements": Judgement, "jobs": Job}

_KEEP_HISTORY = {"delta.logRetentionDuration": "interval 36500 days"}
"""An audit walks the whole history, so Delta must never expire it on its own."""


class Table:
    """One Delta table: appended to in transactions, and read as Arrow."""

    def __init__(self, folder: Path, record: type[BaseModel]) -> None:
        self.folder = folder
        self.schema = arrow_schema(record)

    @property
    def exists(self) -> bool:
        """Tell whether anything was ever committed."""
        return DeltaTable.is_deltatable(str(self.folder))

    def append(self, rows: pa.Table, *, metadata: Mapping[str, str] | None = None) -> None:
        """Append rows in one transaction, with metadata that comes back in the history."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_deltalake(
            str(self.folder),
            rows.select(self.schema.names).cast(self.schema),
            mode="append",
            schema_mode="merge",
            configuration=_KEEP_HISTORY,
            commit_properties=CommitProperties(custom_metadata=dict(metadata or {})),
        )

    def dataset(self) -> pads.Dataset:
        """Return the current rows as an Arrow dataset, which duckdb and others query without loading it.

        Columns that the table does not have yet, since an earlier release wrote it, are null.
        """
        if not self.exists:
            return pads.dataset(self.schema.empty_table())
        return DeltaTable(str(self.folder)).to_pyarrow_dataset(schema=self.schema)

    def read(self, columns: Sequence[str] | None = None, where: pads.Expression | None = None) -> pa.Table:
        """Return the current rows, or some columns of those that match.

        Rows are matched batch by batch after reading: files that Delta rewrote (after a delete, say) hold strings in
        another layout, and pushing a filter down into them fails.
        """
        names = list(columns) if columns else self.schema.names
        if where is None:
            return self.dataset().to_table(columns=names)
        schema = pa.schema([self.schema.field(name) for name in names])
        parts = [
            pa.Table.from_batches([batch]).cast(self.schema).filter(where).select(names)
            for batch in self.dataset().to_batches(columns=self.schema.names)
        ]
        return pa.concat_tables(parts) if parts else schema.empty_table()

    def history(self) -> list[Mapping[str, str]]:
        """Return the metadata of every commit, oldest first."""
        if not self.exists:
            return []
        return list(reversed(DeltaTable(str(self.folder)).history()))
