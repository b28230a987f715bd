"""Files below a local folder, read and written."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from manifests.files.contract import Facts, Unfinished
from manifests.files.local import LocalFiles

_MARK = ".part"
"""Files that are being written are hidden and end so, until they are renamed."""


class WritableLocalFiles(LocalFiles):
    """Files below a local folder. Each is written beside its place, synced, and renamed or linked into it."""

    def put(self, name: str, data: bytes) -> None:
        """Write a file, in place of the one that is there."""
        self.put_stream(name, [data])

    def put_if_absent(self, name: str, data: bytes) -> bool:
        """Write a file unless there is one: a hard link is made by one process only."""
        temporary = self._write(name, [data])
        try:
            os.link(temporary, self._folder / name)
        except FileExistsError:
            return False
        finally:
            temporary.unlink(missing_ok=True)
        _sync_folder(temporary.parent)
        return True

    def put_stream(self, name: str, chunks: Iterable[bytes]) -> int:
        """Write a file from chunks, in place of the one that is there, and return its size."""
        temporary = self._write(name, chunks)
        size = temporary.stat().st_size
        try:
            temporary.replace(self._folder / name)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(temporary.parent)
        self.forget(name)
        return size

    def stat(self, name: str) -> Facts:
        """Return size, time and etag of a file."""
        try:
            return _facts(name, (self._folder / name).stat())
        except (FileNotFoundError, NotADirectoryError):
            raise self._missing(name) from None

    def list(self, prefix: str = "") -> Iterator[Facts]:
        """Yield the files whose names begin with a prefix."""
        for name, path in self._walk(prefix):
            if not _is_part(path.name):
                with suppress(FileNotFoundError):  # deleted since the folder was read
                    yield _facts(name, path.stat())

    def delete(self, name: str) -> None:
        """Delete a file; one that is not there is no error."""
        with suppress(FileNotFoundError, NotADirectoryError):
            (self._folder / name).unlink()
        self.forget(name)

    def link(self, name: str, seconds: int) -> str:  # noqa: ARG002 - a path does not end
        """Return the file's own address. Raises FileNotFoundError."""
        self.stat(name)
        return (self._folder / name).resolve().as_uri()

    def unfinished(self, prefix: str = "") -> Iterator[Unfinished]:
        """Yield the temporary files below a prefix's folder: what they were to become is not in their names."""
        folder = prefix.rpartition("/")[0]
        for name, path in self._walk(f"{folder}/" if folder else ""):
            if _is_part(path.name):
                with suppress(FileNotFoundError):
                    yield Unfinished(name, _facts(name, path.stat()).modified, name)

    def abandon(self, write: Unfinished) -> None:
        """Delete a temporary file."""
        (self._folder / write.token).unlink(missing_ok=True)

    def __reduce__(self) -> tuple[type[WritableLocalFiles], tuple[Path]]:
        return WritableLocalFiles, (self._folder,)

    def _write(self, name: str, chunks: Iterable[bytes]) -> Path:
        """Write a temporary file beside the place of a file, synced to disk, and return its path."""
        folder = (self._folder / name).parent
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / f".{uuid.uuid4().hex}{_MARK}"
        try:
            with temporary.open("xb") as file:
                for chunk in chunks:
                    file.write(chunk)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            temporary.unlink(missing_ok=True)
            if error.errno is None or error.filename is not None:
                raise
            why = f"{self._folder / name}: cannot be written: {os.strerror(error.errno)}"
            raise OSError(error.errno, why) from None
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        return temporary

    def _walk(self, prefix: str) -> Iterator[tuple[str, Path]]:
        start = self._folder / prefix.rpartition("/")[0]
        for folder, below, names in os.walk(start):
            above = Path(folder).relative_to(self._folder)
            inner = "" if above == Path() else f"{above.as_posix()}/"
            below[:] = [one for one in below if _may_match(f"{inner}{one}/", prefix)]
            for name in names:
                if f"{inner}{name}".startswith(prefix):
                    yield f"{inner}{name}", Path(folder, name)


def _may_match(folder: str, prefix: str) -> bool:
    return folder.startswith(prefix) or prefix.startswith(folder)


def _is_part(name: str) -> bool:
    return name.startswith(".") and name.endswith(_MARK)


def _facts(name: str, stat: os.stat_result) -> Facts:
    modified = datetime.fromtimestamp(stat.st_mtime, UTC)
    return Facts(name, stat.st_size, modified, f"{stat.st_ino:x}-{stat.st_mtime_ns:x}-{stat.st_size:x}")


def _sync_folder(folder: Path) -> None:
    """Make a rename last: a file's name is written by its folder's own sync."""
    number = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(number)
    finally:
        os.close(number)
