"""A file of a store as Python's own file object, of which only what is asked for is read."""

from __future__ import annotations

import io
from typing import Any

from manifests.files.contract import Files


class RangeFile(io.RawIOBase):
    """A seekable file that reads ranges; give it to what opens Parquet or tar files."""

    def __init__(self, files: Files, name: str, size: int) -> None:
        super().__init__()
        self._files, self._name, self._size, self._at = files, name, size, 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def tell(self) -> int:
        """Return the position, in bytes."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to a position, and return it."""
        self._at = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence] + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from the position on, and return how many bytes there were. Raises OSError."""
        wanted = max(0, min(len(buffer), self._size - self._at))
        if wanted:
            buffer[:wanted] = self._files.read_range(self._name, self._at, wanted)
            self._at += wanted
        return wanted
