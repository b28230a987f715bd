"""Bounded reads of files that may be anything."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from curation.ingest.limits import READ_CAP
from curation.ingest.refusal import Reason, Refused


def read_file(path: Path, *, offset: int = 0, size: int | None = None, within: Path | None = None) -> bytes:
    """Return the bytes of a regular file, or `size` bytes of it from `offset`.

    Follows symbolic links, but not out of the folder `within`, where its real path is given. Never waits on a FIFO or
    a device, and never reads more than `READ_CAP` bytes. Raises Refused with `missing_file`, `not_a_regular_file`,
    `unsafe_path`, `too_many_bytes`, `truncated` (the file ends before the part does) or `unreadable_file`.
    """
    real = Path(os.path.realpath(path))
    if within is not None and not real.is_relative_to(within):
        raise Refused(Reason.UNSAFE_PATH, "the path leads out of the folder by a symbolic link")
    try:
        _require_regular(real.stat().st_mode)
        descriptor = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(descriptor)
            _require_regular(status.st_mode)
            wanted = status.st_size if size is None else size
            if wanted > READ_CAP:
                raise Refused(Reason.TOO_MANY_BYTES, f"{wanted} bytes; no more than {READ_CAP} are ever read")
            file.seek(offset)
            data = file.read(wanted)
    except (FileNotFoundError, NotADirectoryError):
        raise Refused(Reason.MISSING, "there is no file at this path") from None
    except (OSError, ValueError) as error:
        raise Refused(Reason.UNREADABLE, f"the file cannot be read: {_cause(error)}") from None
    if size is not None and len(data) < size:
        raise Refused(Reason.TRUNCATED, f"the file ends {size - len(data)} bytes early")
    return data


def _require_regular(mode: int) -> None:
    if not stat.S_ISREG(mode):
        raise Refused(Reason.NOT_A_FILE, "a folder, device, socket or FIFO lies at this path, not a file")


def _cause(error: OSError | ValueError) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
