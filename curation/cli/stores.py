"""Opening the store that a command was given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from curation.cli.failure import fail

if TYPE_CHECKING:
    from manifests.store import Store


def existing_store(folder: Path) -> Store:
    """Return the store in a folder, or end the command saying how to make one."""
    from manifests.store import Store

    store = Store(folder)
    if not store.triplets.exists:
        raise fail(f"{folder} holds no manifest; `triptych curate run SPEC --store {folder}` makes one")
    return store
