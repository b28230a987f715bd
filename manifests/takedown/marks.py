"""What a store remembers of images that were taken down: salted hashes, from which no image or id can be had."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from manifests.store import Store


def mark_of(salt: str, text: str | None) -> str | None:
    """Return the salted hash of an id or perceptual hash; None of none."""
    return None if text is None else hashlib.sha256(f"{salt}:{text}".encode()).hexdigest()


class TakenDown:
    """The images that were taken down from a store; takedowns of other processes are seen when they are done."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._version = -1
        self._marks: dict[str, set[str]] = {}

    def hold(self, asset: str | None, look: str | None = None) -> bool:
        """Tell whether an image was taken down, by its asset id or its perceptual hash."""
        return any(
            mark_of(salt, text) in marks for salt, marks in self._marks.items() for text in (asset, look) if text
        )

    def refresh(self) -> bool:
        """Read what was taken down since the last time, and tell whether anything was, ever."""
        version = self._store.erasures.catch_up()
        if version != self._version:
            columns: Sequence[str] = ("salt", "asset_mark", "look_mark")
            for batch in self._store.erasures.batches(columns):
                for row in batch.to_pylist():
                    found = {row["asset_mark"], row["look_mark"]} - {None}
                    self._marks.setdefault(row["salt"], set()).update(found)
            self._version = version
        return bool(self._marks)
