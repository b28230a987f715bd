"""A folder of photographs as a source of styles that the job paints."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from curation.sources.folder import require_folder
from curation.sources.folder_listing import list_folder
from curation.sources.image_names import IMAGE_EXTENSIONS, with_dots
from curation.sources.listed import Entry, ListedSource

PHOTO = "photo"
"""The family of every photograph."""


class ProceduralSource(ListedSource):
    """Photographs: as they are, they play the photorealistic side; painted by the job's treatments, they are targets.

    Subject is the table's, or the file's name without extension. A table's styles are not used, since every image is
    of the family `photo`. Building one raises ValueError where folder or table cannot be used.
    """

    kind: Literal["procedural"] = "procedural"
    path: Path = Field(description="The folder of photographs.")
    table: Path | None = Field(
        default=None,
        description="CSV or Parquet with a column `file` (relative to the folder) and any of caption, licence, author, "
        "subject, attribution_url. Only the files that it names are used.",
    )
    licence: str | None = Field(default=None, description="SPDX identifier for photographs whose row states none.")
    recursive: bool = Field(default=True, description="Without a table: whether subfolders are looked into.")
    extensions: Annotated[tuple[str, ...] | None, BeforeValidator(with_dots)] = Field(
        default=IMAGE_EXTENSIONS,
        description="Without a table: which files count as photographs; null for all of them. Hidden files never do.",
    )

    @model_validator(mode="after")
    def _usable(self) -> Self:
        require_folder(self.path)
        if self.table is not None:
            list(self.entries())
        return self

    @property
    def realistic_family(self) -> str:
        """Return the family of the photographs."""
        return PHOTO

    def entries(self) -> Iterator[Entry]:
        """Yield the photographs: rows in the order of the table, or files sorted by path."""
        listed = list_folder(
            self.path,
            table=self.table,
            recursive=self.recursive,
            extensions=self.extensions,
            licence=self.licence,
            source=self.name or self.kind,
        )
        return (replace(entry, ref=entry.ref.model_copy(update={"family": PHOTO})) for entry in listed)
