"""Answers of a judge that are not committed yet: kept one by one, so that none is paid for twice."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError

from manifests.files import WritableFiles
from manifests.identities import digest_of
from manifests.records import Judgement


class Answers:
    """Judgements in one folder of a store, each under the digest of what was asked of whom."""

    def __init__(self, files: WritableFiles, folder: str) -> None:
        self._files = files
        self._folder = folder

    def get(self, key: Sequence[str]) -> Judgement | None:
        """Return what was kept, or None; a file that was cut off counts as none."""
        try:
            return Judgement.model_validate_json(self._files.read(self._name(key)))
        except (FileNotFoundError, ValidationError):
            return None

    def keep(self, key: Sequence[str], judgement: Judgement) -> Judgement:
        """Keep an answer unless there is one already, and return the one that counts: the first."""
        data = judgement.model_dump_json().encode()
        if not self._files.put_if_absent(self._name(key), data):
            kept = self.get(key)
            if kept is not None:
                return kept
            self._files.put(self._name(key), data)
        return judgement

    def _name(self, key: Sequence[str]) -> str:
        name = digest_of(list(key))
        return f"{self._folder}/{name[:2]}/{name}.json"
