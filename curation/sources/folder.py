"""A folder of images as a source."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from curation.sources.folder_listing import list_folder
from curation.sources.image_names import IMAGE_EXTENSIONS, with_dots
from curation.sources.listed import Entry, ListedSource, family_of, require_family


class FolderSource(ListedSource):
    """Images in a folder and its subfolders, described by their paths or by a table.

    Without a table the subject is the file's name without extension, and the style (the family of the references) is
    the name of the folder that holds it. Locators are paths relative to the folder; fingerprints are made of size and
    time of change. Building one raises ValueError where folder or table cannot be used.
    """

    kind: Literal["folder"] = "folder"
    path: Path = Field(description="The folder.")
    table: Path | None = Field(
        default=None,
        description="CSV or Parquet with a column `file` (relative to the folder) and any of caption, licence, author, "
        "subject, style, attribution_url. Only the files that it names are used.",
    )
    realistic_style: str | None = Field(
        default=None, description="The style that plays the photorealistic side and is never a target."
    )
    licence: str | None = Field(default=None, description="SPDX identifier for images whose row states none.")
    recursive: bool = Field(default=True, description="Without a table: whether subfolders are looked into.")
    extensions: Annotated[tuple[str, ...] | None, BeforeValidator(with_dots)] = Field(
        default=IMAGE_EXTENSIONS,
        description="Without a table: which files count as images; null for all of them. Hidden files never do.",
    )

    @model_validator(mode="after")
    def _usable(self) -> Self:
        require_folder(self.path)
        if self.table is not None or self.realistic_style is not None:
            listed = list(self.entries())
            if self.realistic_family is not None:
                require_family(listed, self.realistic_family)
        return self

    @property
    def realistic_family(self) -> str | None:
        """Return the family of `realistic_style`, or None."""
        return None if self.realistic_style is None else family_of(self.realistic_style)

    def entries(self) -> Iterator[Entry]:
        """Yield the images: rows in the order of the table, or files sorted by path."""
        return list_folder(
            self.path,
            table=self.table,
            recursive=self.recursive,
            extensions=self.extensions,
            licence=self.licence,
            source=self.name or self.kind,
        )


def require_folder(path: Path) -> None:
    """Check that a folder is there and may be listed. Raises ValueError naming the mend."""
    if not path.is_dir():
        what = "is a file" if path.exists() else "does not exist"
        raise ValueError(f"folder {path} {what}; name the folder that holds the images")
    try:
        next(path.iterdir(), None)
    except OSError as error:
        raise ValueError(f"folder {path} cannot be listed: {error.strerror}; mend its permissions") from None
