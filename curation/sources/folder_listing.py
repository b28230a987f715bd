"""Listing a folder of images, with or without a table that describes them."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from curation.ingest.names import printable, unsafe
from curation.ingest.refusal import Reason
from curation.sources.folder_table import Row, read_table
from curation.sources.listed import Entry, untreated

_ABSENT = "absent"


def list_folder(
    folder: Path,
    *,
    table: Path | None,
    recursive: bool,
    extensions: tuple[str, ...] | None,
    licence: str | None,
    source: str,
) -> Iterator[Entry]:
    """Yield an entry for each image.

    With a table: one for each row, in the rows' order. Without: one for each file that is not hidden and has one of
    the extensions (any, where None), of the subfolders too where `recursive`, sorted by path. What leaves the folder,
    is absent, or is no regular file is listed with the reason for which reading refuses it. Raises ValueError where
    the table cannot be read, OSError where the folder cannot.
    """
    root = Path(os.path.realpath(folder))
    for found in _files(root, extensions, recursive) if table is None else _rows(table):
        yield _entry(root, found, licence, source)


class _Found(NamedTuple):
    name: str
    locator: str
    row: Row
    repeated: bool


def _files(root: Path, extensions: tuple[str, ...] | None, recursive: bool) -> Iterator[_Found]:
    for name in sorted(_walk(root, extensions, recursive)):
        yield _Found(name, printable(name), {}, repeated=False)


def _rows(table: Path) -> Iterator[_Found]:
    seen: set[str] = set()
    for number, row in enumerate(read_table(table), start=1):
        name = row["file"] or ""
        normal = str(PurePosixPath(name)) if name else ""
        repeated = normal in seen
        locator = printable(name) if name and not repeated else f"{printable(name)}@row {number}"
        seen.add(normal)
        yield _Found(name, locator, row, repeated)


def _walk(root: Path, extensions: tuple[str, ...] | None, recursive: bool) -> Iterator[str]:
    folders = [""]
    while folders:
        prefix = folders.pop()
        try:
            items = sorted(os.scandir(root / prefix), key=lambda item: item.name)
        except OSError:
            if not prefix:
                raise
            yield prefix.rstrip("/")  # a folder that may not be opened: its entry says that it is no file
            continue
        for item in items:
            if item.name.startswith("."):
                continue
            name = f"{prefix}{item.name}"
            if item.is_dir(follow_symlinks=False):
                folders.extend([f"{name}/"] if recursive else [])
            elif item.is_symlink() and Path(item).is_dir():
                if recursive and not _inside(root, root / name):
                    yield name
            elif extensions is None or PurePosixPath(item.name).suffix.lower() in extensions:
                yield name


def _entry(root: Path, found: _Found, licence: str | None, source: str) -> Entry:
    path = root / found.name.lstrip("/")
    folder = root if unsafe(found.name) else path.parent
    fingerprint, reason, detail = _look(root, path, found)
    ref = untreated(
        source=source,
        locator=found.locator,
        fingerprint=fingerprint,
        subject=found.row.get("subject") or printable(path.stem),
        style=found.row.get("style") or printable(folder.name) or source,
        credit={**found.row, "licence": found.row.get("licence") or licence},
    )
    return Entry(ref, path, reason=reason, detail=detail, within=root)


def _look(root: Path, path: Path, found: _Found) -> tuple[str, Reason | None, str]:
    if not found.name:
        return _ABSENT, Reason.MISSING, "the row names no file"
    danger = unsafe(found.name)
    if danger is not None:
        return _ABSENT, Reason.UNSAFE_PATH, danger
    if not _inside(root, path):
        return _ABSENT, Reason.UNSAFE_PATH, "the path leads out of the folder by a symbolic link"
    try:
        status = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return _ABSENT, Reason.MISSING, "there is no file at this path"
    except OSError as error:
        return _ABSENT, Reason.UNREADABLE, f"the file cannot be read: {error.strerror}"
    fingerprint = f"{status.st_size}-{status.st_mtime_ns}"
    if found.repeated:
        return fingerprint, Reason.DUPLICATE_MEMBER, "an earlier row names the same file"
    if not stat.S_ISREG(status.st_mode):
        detail = "a folder, device, socket or FIFO lies at this path, not a file"
        return fingerprint, Reason.NOT_A_FILE, detail
    return fingerprint, None, ""


def _inside(root: Path, path: Path) -> bool:
    return Path(os.path.realpath(path)).is_relative_to(root)
