"""Answers of a judge that are not committed yet: kept one by one, so that none is paid for twice."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path

from pydantic import ValidationError

from manifests.identities import digest_of
from manifests.records import Judgement


class Answers:
    """Judgements below one folder, each under the digest of what was asked of whom."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: Sequence[str]) -> Judgement | None:
        """Return what was kept, or None; a file that was cut off counts as none."""
        try:
            return Judgement.model_validate_json(self._path(key).read_bytes())
        except (FileNotFoundError, ValidationError):
            return None

    def keep(self, key: Sequence[str], judgement: Judgement) -> Judgement:
        """Keep an answer unless there is one already, and return the one that counts: the first."""
        path = self._path(key)
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, suffix=".part")
        try:
            with os.fdopen(handle, "w") as file:
                json.dump(judgement.model_dump(mode="json"), file)
            os.link(temporary, path)
        except FileExistsError:
            return self.get(key) or self._replace(path, judgement)
        finally:
            Path(temporary).unlink(missing_ok=True)
        return judgement

    def _replace(self, path: Path, judgement: Judgement) -> Judgement:
        path.write_text(judgement.model_dump_json())
        return judgement

    def _path(self, key: Sequence[str]) -> Path:
        name = digest_of(list(key))
        return self.folder / name[:2] / f"{name}.json"
