"""Files of a store that lies elsewhere, as DuckDB reads them: in ranges, nothing is copied to this machine."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from fsspec import AbstractFileSystem

from manifests.files import Files

SCHEME = "triptych"


class RemoteFiles(AbstractFileSystem):  # type: ignore[misc]
    """A file system over `manifests.files.Files`, for reading alone.

    Sizes come from the log of the table that names a file, since `Files` tells none.
    """

    protocol = SCHEME
    cachable = False

    def __init__(self, files: Files, sizes: Mapping[str, int]) -> None:
        super().__init__()
        self._files = files
        self._sizes = sizes

    def info(self, path: str, **_: Any) -> dict[str, Any]:
        """Return name, size and type of a file. Raises FileNotFoundError where no table names it."""
        name = str(self._strip_protocol(path))
        if name not in self._sizes:
            raise FileNotFoundError(name)
        return {"name": name, "size": self._sizes[name], "type": "file"}

    def modified(self, path: str) -> Any:
        """Return a time that is always the same: a file of a table is never changed."""
        from datetime import UTC, datetime

        self.info(path)
        return datetime.fromtimestamp(0, UTC)

    def _open(self, path: str, mode: str = "rb", **_: Any) -> io.BufferedIOBase:
        if mode != "rb":
            raise PermissionError(f"{path}: audits only read")
        name = self.info(path)["name"]
        return io.BufferedReader(_Ranges(self._files, name, self._sizes[name]), buffer_size=1 << 20)


class _Ranges(io.RawIOBase):
    def __init__(self, files: Files, name: str, size: int) -> None:
        super().__init__()
        self._files, self._name, self._size, self._at = files, name, size, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = max(0, min(len(buffer), self._size - self._at))
        if wanted:
            buffer[:wanted] = self._files.read_range(self._name, self._at, wanted)
            self._at += wanted
        return wanted
