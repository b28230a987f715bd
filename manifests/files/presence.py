"""Whether a file is there."""

from __future__ import annotations

from manifests.files.contract import WritableFiles


def is_there(files: WritableFiles, name: str) -> bool:
    """Tell whether a file is there. Raises OSError where that cannot be told."""
    try:
        files.stat(name)
    except FileNotFoundError:
        return False
    return True
