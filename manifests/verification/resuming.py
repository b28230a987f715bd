"""What a verification that was interrupted had done: shards that need not be read again."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from manifests.verification.findings import Finding, Kind
from manifests.verification.shard_check import ShardChecked


class Progress:
    """A file of one line a shard, outside of the store. It is deleted when a verification has come to its end."""

    def __init__(self, path: Path | None) -> None:
        """Open a file that is there, or a new one; without a path, nothing is kept. Raises OSError."""
        self._path = path
        self._lock = threading.Lock()
        self._done: dict[str, dict[str, Any]] = {}
        if path is not None and path.exists():
            for line in path.read_text().splitlines():
                try:
                    one = json.loads(line)
                    self._done[one["mark"]] = one
                except (ValueError, KeyError, TypeError):  # the line that was being written when it was ended
                    continue
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)

    def get(self, mark: str) -> ShardChecked | None:
        """Return what came of a shard, None where it was not read or has changed since: `mark` stands for its state."""
        one = self._done.get(mark)
        if one is None:
            return None
        return ShardChecked(one["samples"], [_finding(raw) for raw in one["findings"]])

    def keep(self, mark: str, checked: ShardChecked) -> None:
        """Write down what came of a shard."""
        if self._path is not None:
            line = {"mark": mark, "samples": checked.samples, "findings": [asdict(one) for one in checked.findings]}
            with self._lock, self._path.open("a") as file:
                file.write(json.dumps(line) + "\n")

    def end(self) -> None:
        """Forget everything: what was checked long ago is not to be trusted."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)


def _finding(raw: Mapping[str, str]) -> Finding:
    return Finding(Kind(raw["kind"]), raw["place"], raw["text"])
