"""What audits keep beside a store's own files: indexes by id, footers, commits. It can be deleted at any time."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from manifests.identities import digest_of


def cache_of(root: str) -> Path:
    """Return the folder that holds what audits keep of a store.

    It lies in `TRIPTYCH_CACHE`, or `triptych` in the user's cache, not in the store: an auditor may read a store and
    not write to it. It holds no image and no text of a manifest: hashed ids, names of files and commits; but for
    `service/`, where `triptych serve` keeps a copy of the newest rows.
    """
    chosen = os.environ.get("TRIPTYCH_CACHE")
    base = Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "triptych"
    place = root if "://" in root else str(Path(root).resolve())
    return base.expanduser() / "audit" / digest_of(place)


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that it appears complete or not at all; where the place cannot be written to, do nothing."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
    except OSError:
        return
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
        Path(temporary).replace(path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
