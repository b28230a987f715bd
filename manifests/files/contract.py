"""What readers and writers of a store need of the place where it lies."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


class NoSuchRootError(FileNotFoundError):
    """There is nothing at the root itself."""


@dataclass(frozen=True)
class Facts:
    """What a listing, or a question about one file, tells of it."""

    name: str
    size: int
    """In bytes."""
    modified: datetime
    """When it was last written, in UTC, by the clock of the place where it lies."""
    etag: str
    """Something that is another one whenever the file was written again."""


@dataclass(frozen=True)
class Unfinished:
    """A write that has begun and not ended: it goes on somewhere, or its process was killed."""

    name: str
    started: datetime
    token: str
    """What `abandon` needs to find it."""


class Files(Protocol):
    """Read-only files below one root, named by their path from it; called from many threads at once.

    What is missing raises FileNotFoundError, a refusal PermissionError, a server that does not answer
    ConnectionError; all of them are OSError.
    """

    root: str
    """The root as the user gave it; it never holds credentials."""

    def read(self, name: str) -> bytes:
        """Return a whole file."""

    def read_range(self, name: str, offset: int, size: int) -> bytes:
        """Return exactly `size` bytes of a file from `offset` on. Raises OSError where the file ends before."""

    def local_path(self, name: str) -> Path | None:
        """Return where a file lies on this machine, None where it lies elsewhere."""


class WritableFiles(Files, Protocol):
    """Files below one root that can be written too. A file appears whole or not at all, and is on disk when it does.

    Where there is no room left, writing raises OSError with `errno.ENOSPC`. Objects can be pickled; what they have
    open stays behind.
    """

    def put(self, name: str, data: bytes) -> None:
        """Write a file, in place of the one that is there."""

    def put_if_absent(self, name: str, data: bytes) -> bool:
        """Write a file unless there is one, and tell whether it was: of many writers at once, one is told so."""

    def put_stream(self, name: str, chunks: Iterable[bytes]) -> int:
        """Write a file from chunks, in place of the one that is there, and return its size in bytes.

        Chunks may be of any size; a few parts are held in memory, however large the file becomes. Where `chunks`
        raises, nothing appears.
        """

    def stat(self, name: str) -> Facts:
        """Return size, time and etag of a file. Raises FileNotFoundError."""

    def list(self, prefix: str = "") -> Iterator[Facts]:
        """Yield the files whose names begin with a prefix, page by page, in no stated order.

        A local folder that is not there has none; a bucket that is not there raises NoSuchRootError.
        """

    def delete(self, name: str) -> None:
        """Delete a file; one that is not there is no error."""

    def link(self, name: str, seconds: int) -> str:
        """Return an address from which anyone may read the file for so many seconds.

        It is a secret while it lasts. On a local disk it is the file's own address, which does not end.
        """

    def unfinished(self, prefix: str = "") -> Iterator[Unfinished]:
        """Yield the writes below a prefix that have begun and not ended."""

    def abandon(self, write: Unfinished) -> None:
        """Clear an unfinished write away; one that has ended meanwhile is no error."""
