"""Metrics of a run, read back as curves."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from uso.training.watch.jsonl import METRICS, STEP, TIME, read_lines
from uso.training.watch.run_file import Start

Floats = NDArray[np.float64]

_INFINITE = 1e100


@dataclass(frozen=True)
class Curve:
    """Values of one metric over steps, which rise; a value that was not a finite number is NaN.

    Values beyond 1e100 count as infinite: sums of them would be.
    """

    steps: Floats
    values: Floats

    def finite(self) -> Curve:
        """Return the curve without values that are no numbers."""
        known = self._known()
        return Curve(self.steps[known], self.values[known])

    def lost(self) -> list[int]:
        """Return the steps whose value was not a finite number."""
        return [int(step) for step in self.steps[~self._known()]]

    def _known(self) -> NDArray[np.bool_]:
        return np.abs(self.values) < _INFINITE


@dataclass(frozen=True)
class Metrics:
    """All curves of a run, and its lines' steps and times (seconds since 1970), in the order of writing."""

    curves: Mapping[str, Curve]
    lines: Sequence[tuple[int, float]]

    def last_step(self) -> int:
        """Return the last step of which anything is known, 0 where nothing is."""
        return max((step for step, _ in self.lines), default=0)

    def seconds(self, starts: Sequence[Start]) -> float | None:
        """Return how long the run took to make these lines, without the time between its stops and its next starts."""
        times = [time for _, time in self.lines]
        if not times or not starts:
            return None
        ends = [*(start.time for start in starts[1:]), float("inf")]
        spans = [
            max((time for time in times if start.time <= time < end), default=start.time) - start.time
            for start, end in zip(starts, ends, strict=True)
        ]
        return sum(spans)


def read_metrics(out: Path) -> Metrics:
    """Return the metrics of a run; where one was written twice for a step, the later value counts."""
    found: dict[str, dict[int, float]] = defaultdict(dict)
    lines = []
    for line in read_lines(out / METRICS):
        step, time = line.pop(STEP), line.pop(TIME, None)
        if isinstance(time, int | float):
            lines.append((step, float(time)))
        for name, value in line.items():
            if value is None or isinstance(value, int | float):
                found[name][step] = float("nan") if value is None else float(value)
    curves = {name: _curve(values) for name, values in found.items()}
    return Metrics(curves, lines)


def _curve(values: Mapping[int, float]) -> Curve:
    steps = sorted(values)
    return Curve(np.array(steps, dtype=float), np.array([values[step] for step in steps], dtype=float))
