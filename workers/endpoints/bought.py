"""Answers that were paid for, kept until the job has committed what came of them: none is bought twice."""

from __future__ import annotations

from collections.abc import Sequence

from manifests.files import WritableFiles
from manifests.identities import digest_of


class Bought:
    """Bytes in one folder of a store, each under the digest of what was asked of whom; safe with several workers."""

    def __init__(self, files: WritableFiles, folder: str = "cache/bought") -> None:
        self._files = files
        self._folder = folder

    def get(self, key: Sequence[str]) -> bytes | None:
        """Return what was kept, or None."""
        try:
            return self._files.read(self._name(key))
        except FileNotFoundError:
            return None

    def keep(self, key: Sequence[str], data: bytes) -> None:
        """Keep an answer: whole, or not at all."""
        self._files.put(self._name(key), data)

    def _name(self, key: Sequence[str]) -> str:
        name = digest_of(list(key))
        return f"{self._folder}/{name[:2]}/{name}"
