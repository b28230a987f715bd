"""How many seconds of something fell into each part of a simulated run, in bounded memory."""

from __future__ import annotations

_BINS = 256


class Timeline:
    """Seconds by bins of equal width; when time outgrows the bins, two become one."""

    def __init__(self, rows: int) -> None:
        self.width = 1.0
        self.bins = [[0.0] * _BINS for _ in range(rows)]

    def add(self, row: int, start: float, end: float) -> None:
        """Add the time from `start` to `end` to a row."""
        while end > self.width * _BINS:
            self._fold()
        first, last = int(start / self.width), min(_BINS - 1, int(end / self.width))
        bins = self.bins[row]
        if first == last:
            bins[first] += end - start
            return
        bins[first] += (first + 1) * self.width - start
        for place in range(first + 1, last):
            bins[place] += self.width
        bins[last] += end - last * self.width

    def _fold(self) -> None:
        self.width *= 2
        for bins in self.bins:
            half = [bins[place] + bins[place + 1] for place in range(0, _BINS, 2)]
            bins[:] = half + [0.0] * (_BINS - len(half))
