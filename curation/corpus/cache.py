"""Where fetched artwork lies."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from curation.corpus.packages import PACKAGES

INDEX_FORMAT = 1
"""Raise this when the index's tables or the rules of the catalogue change, so that old indexes are not reused."""


class CorpusMissing(Exception):  # noqa: N818 - reads as the sentence it prints
    """The cache does not hold the artwork yet."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"The atelier corpus is not in the cache ({path}); run `triptych corpus fetch` first.")
        self.path = path

    def __reduce__(self) -> tuple[type[CorpusMissing], tuple[Path]]:
        return type(self), (self.path,)


def cache_dir() -> Path:
    """Return the cache folder: `TRIPTYCH_CACHE`, or `triptych` under `XDG_CACHE_HOME` or `~/.cache`."""
    if chosen := os.environ.get("TRIPTYCH_CACHE"):
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "triptych"


def corpus_dir() -> Path:
    """Return the folder of tarballs and index inside the cache."""
    return cache_dir() / "atelier"


def index_path() -> Path:
    """Return the file of the index; its name changes with any pinned version and with the index's format."""
    pins = "\n".join(f"{p.spec} {p.integrity} {p.family}" for p in PACKAGES)
    digest = hashlib.sha256(f"{INDEX_FORMAT}\n{pins}".encode()).hexdigest()[:12]
    return corpus_dir() / f"index-{digest}.sqlite"


def require_index() -> Path:
    """Return the index's path; raise `CorpusMissing` where it has not been built."""
    path = index_path()
    if not path.is_file():
        raise CorpusMissing(path)
    return path
