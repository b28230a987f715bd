"""metrics.jsonl: one line of JSON for each call, flushed; the one record of a run's figures that all else follows."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

METRICS = "metrics.jsonl"
STEP, TIME = "step", "time"


class MetricLines:
    """Appends lines `{"step": 20, "time": 1.7e9, "train/loss": 0.4}`; what is not a finite number is null.

    Opened with the step that a run resumes at, it first cuts the lines past that step, which will be made again, and
    what a crash left half written; opened with None, it begins an empty file. The file is replaced whole, so a crash
    while cutting loses nothing.
    """

    def __init__(self, path: Path, resume_step: int | None) -> None:
        cut_lines(path, resume_step)
        self._file = path.open("a", encoding="utf-8")

    def scalars(self, step: int, time: float, values: Mapping[str, float]) -> None:
        """Append a line, and hand it to the operating system. Raises ValueError on metrics named `step` or `time`."""
        if not values.keys().isdisjoint((STEP, TIME)):
            raise ValueError(f"metrics cannot be called {STEP!r} or {TIME!r}; give them another name")
        numbers = {name: _finite(value) for name, value in values.items()}
        self._file.write(json.dumps({STEP: step, TIME: round(time, 3), **numbers}, allow_nan=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the whole lines of a file of metrics, as written; a line torn by a crash is passed over."""
    if path.is_file():
        for line in path.read_bytes().splitlines():
            parsed = _parse(line)
            if parsed is not None:
                yield parsed


def cut_lines(path: Path, resume_step: int | None) -> None:
    """Leave of a file the whole lines up to a step, and none without one; the file is replaced whole."""
    kept = [] if resume_step is None else [line for line in read_lines(path) if line[STEP] <= resume_step]
    draft = path.with_name(f".{path.name}.partial")
    with draft.open("w", encoding="utf-8") as file:
        file.write("".join(json.dumps(line) + "\n" for line in kept))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        parsed = json.loads(line)
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) and isinstance(parsed.get(STEP), int) else None


def _finite(value: float) -> float | None:
    number = float(value)
    return number if math.isfinite(number) else None
