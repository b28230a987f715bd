"""Files of a store, wherever it lies: a local folder, or a prefix of an S3 bucket."""

from __future__ import annotations

from pathlib import Path

from manifests.files.contract import Facts, Files, NoSuchRootError, Unfinished, WritableFiles
from manifests.files.local import LocalFiles
from manifests.files.local_writing import WritableLocalFiles
from manifests.files.s3 import S3Files
from manifests.files.s3_access import is_s3, storage_options
from manifests.files.s3_writing import WritableS3Files

__all__ = [
    "Facts",
    "Files",
    "NoSuchRootError",
    "Unfinished",
    "WritableFiles",
    "delta_options",
    "open_files",
    "open_writable",
]


def open_files(root: str | Path) -> Files:
    """Return the files below a local folder or `s3://bucket/prefix`, to be read.

    Nothing is read yet. Raises ValueError on an address of another kind, ModuleNotFoundError where S3 needs boto3.
    """
    text = _checked(root)
    return S3Files(text) if is_s3(text) else LocalFiles(Path(root))


def open_writable(root: str | Path) -> WritableFiles:
    """Return the files below a local folder or `s3://bucket/prefix`, to be read and written; as `open_files`."""
    text = _checked(root)
    return WritableS3Files(text) if is_s3(text) else WritableLocalFiles(Path(root))


def delta_options(root: str | Path) -> dict[str, str]:
    """Return the storage options with which deltalake opens tables below a root; a local one needs none.

    They hold secrets: log neither them nor what deltalake says of them.
    """
    return storage_options(str(root)) if is_s3(str(root)) else {}


def _checked(root: str | Path) -> str:
    text = str(root)
    if isinstance(root, str) and "://" in root and not is_s3(text):
        raise ValueError(f"{root.partition('://')[0]}://...: a store is a local folder or s3://bucket/prefix")
    return text
