"""Read-only files of a store, wherever it lies: a local folder, or a prefix of an S3 bucket."""

from __future__ import annotations

from pathlib import Path

from manifests.files.contract import Files, NoSuchRootError
from manifests.files.local import LocalFiles

__all__ = ["Files", "NoSuchRootError", "delta_options", "open_files"]


def open_files(root: str | Path) -> Files:
    """Return the files below a local folder."""
    return LocalFiles(Path(root))


def delta_options(root: str | Path) -> dict[str, str]:  # noqa: ARG001
    """Return the storage options with which deltalake opens tables below a root; a local one needs none."""
    return {}
