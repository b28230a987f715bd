"""What a reader of a store needs of the place where it lies."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol


class NoSuchRootError(FileNotFoundError):
    """There is nothing at the root itself."""


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
