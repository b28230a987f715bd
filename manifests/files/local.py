"""Files below a local folder."""

from __future__ import annotations

import os
import threading
from collections import OrderedDict
from pathlib import Path

from manifests.files.contract import NoSuchRootError

KEPT_OPEN = 128
"""Files that stay open: a loader comes back to the same shards again and again."""


class LocalFiles:
    """Files below a local folder; the last ones of which ranges were read stay open."""

    def __init__(self, folder: Path, *, kept_open: int = KEPT_OPEN) -> None:
        self.root = str(folder)
        self._folder = folder
        self._kept_open = kept_open
        self._open: OrderedDict[str, _Descriptor] = OrderedDict()
        self._lock = threading.Lock()

    def read(self, name: str) -> bytes:
        """Return a whole file."""
        try:
            return (self._folder / name).read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            raise self._missing(name) from None

    def read_range(self, name: str, offset: int, size: int) -> bytes:
        """Return a part of a file, in one system call once the file is open."""
        descriptor = self._descriptor(name)
        data = os.pread(descriptor.number, size, offset)
        if len(data) != size:
            raise OSError(f"{self._folder / name}: ends before byte {offset + size}; it was cut off or replaced")
        return data

    def local_path(self, name: str) -> Path:
        """Return the file's path."""
        return self._folder / name

    def forget(self, name: str) -> None:
        """Close a file that was written again or deleted, once nobody reads it."""
        with self._lock:
            self._open.pop(name, None)

    def _descriptor(self, name: str) -> _Descriptor:
        with self._lock:
            found = self._open.get(name)
            if found is None:
                try:
                    found = self._open[name] = _Descriptor(self._folder / name)
                except (FileNotFoundError, NotADirectoryError):
                    raise self._missing(name) from None
                if len(self._open) > self._kept_open:
                    self._open.popitem(last=False)
            else:
                self._open.move_to_end(name)
            return found

    def _missing(self, name: str) -> FileNotFoundError:
        if not self._folder.is_dir():
            return NoSuchRootError(f"{self.root}: no such folder")
        return FileNotFoundError(
            f"{self._folder / name}: no such file; `triptych store verify --store {self.root}` tells what else is gone"
        )


class _Descriptor:
    """An open file that closes with its last user.

    Were it closed when it leaves the cache, a thread about to read from it would read from whichever file was given
    the same number next.
    """

    __slots__ = ("number",)

    def __init__(self, path: Path) -> None:
        self.number = -1
        self.number = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def __del__(self) -> None:
        if self.number >= 0:
            os.close(self.number)
