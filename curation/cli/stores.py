"""Opening the store that a command was given."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from curation.cli.failure import fail

if TYPE_CHECKING:
    from manifests.store import Store


def new_store(root: str | Path) -> Store:
    """Return the store below a root, whether there is one yet or not; end the command where there can be none."""
    from manifests.store import Store

    try:
        return Store(root)
    except (ValueError, ModuleNotFoundError, PermissionError) as error:
        raise fail(f"--store: {error}") from None


def existing_store(root: str | Path) -> Store:
    """Return the store below a root, or end the command saying how to make one, or why it cannot be reached."""
    store = new_store(root)
    try:
        exists = store.triplets.exists
    except OSError as error:
        raise fail(str(error)) from None
    if not exists:
        raise fail(f"{root} holds no manifest; `triptych curate run SPEC --store {root}` makes one")
    return store
