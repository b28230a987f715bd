"""Read-only files of a store, wherever it lies: a local folder, or a prefix of an S3 bucket."""

from __future__ import annotations

from pathlib import Path

from manifests.files.contract import Files, NoSuchRootError
from manifests.files.local import LocalFiles
from manifests.files.s3 import S3Files
from manifests.files.s3_access import is_s3, storage_options

__all__ = ["Files", "NoSuchRootError", "delta_options", "open_files"]


def open_files(root: str | Path) -> Files:
    """Return the files below a local folder or `s3://bucket/prefix`.

    Nothing is read yet. Raises ValueError on an address of another kind, ModuleNotFoundError where S3 needs boto3.
    """
    text = str(root)
    if is_s3(text):
        return S3Files(text)
    if isinstance(root, str) and "://" in root:
        raise ValueError(f"{root.partition('://')[0]}://...: a store is a local folder or s3://bucket/prefix")
    return LocalFiles(Path(root))


def delta_options(root: str | Path) -> dict[str, str]:
    """Return the storage options with which deltalake opens tables below a root; a local one needs none.

    They hold secrets: log neither them nor what deltalake says of them.
    """
    return storage_options(str(root)) if is_s3(str(root)) else {}
