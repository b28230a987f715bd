"""What a curve says, in words: from where to where it went, and where it was at its best."""

from __future__ import annotations

from dataclasses import dataclass

from uso.training.watch.chart import tell
from uso.training.watch.metrics import Curve


@dataclass(frozen=True)
class Change:
    """First, last and best value of a curve with their steps; the best is the lowest, or the highest by choice."""

    first_step: int
    first: float
    last_step: int
    last: float
    best_step: int
    best: float
    count: int
    low_is_best: bool

    @property
    def relative(self) -> float | None:
        """Return last / first - 1, None where the first value is not above zero or there is no second one."""
        return self.last / self.first - 1 if self.first > 0 and self.count > 1 else None

    def short(self) -> str:
        """Return the change as `0.412 → 0.287 (−30.3%)`."""
        if self.count == 1:
            return tell(self.first)
        if self.relative is None:
            return f"{tell(self.first)} → {tell(self.last)}"
        return f"{tell(self.first)} → {tell(self.last)} ({signed(self.relative)})"

    def sentence(self, name: str) -> str:
        """Return the change in a sentence or two about what is called by this name."""
        if self.count == 1:
            return f"{name} was measured once: {tell(self.first)} at step {self.first_step:,}."
        ends = f"from {tell(self.first)} at step {self.first_step:,} to {tell(self.last)} at step {self.last_step:,}"
        return f"{name} {self._moved()}, {ends}. {self._best()}"

    def _moved(self) -> str:
        if self.last == self.first:
            return "ended where it began"
        verb = "fell" if self.last < self.first else "rose"
        by = tell(abs(self.last - self.first)) if self.relative is None else f"{abs(self.relative):.1%}"
        return f"{verb} by {by}"

    def _best(self) -> str:
        word = "lowest" if self.low_is_best else "highest"
        if self.best == self.last:
            return f"The last value is the {word}."
        side = "above" if self.low_is_best else "below"
        gap = f"{abs(self.last / self.best - 1):.1%}" if self.best > 0 else tell(abs(self.last - self.best))
        return f"The {word} was {tell(self.best)} at step {self.best_step:,}; the last one is {gap} {side} it."


def change(curve: Curve | None, *, low_is_best: bool = True) -> Change | None:
    """Return how a curve went, None where it has no finite value."""
    known = curve.finite() if curve is not None else None
    if known is None or not len(known.values):
        return None
    best = int(known.values.argmin() if low_is_best else known.values.argmax())
    return Change(
        first_step=int(known.steps[0]),
        first=float(known.values[0]),
        last_step=int(known.steps[-1]),
        last=float(known.values[-1]),
        best_step=int(known.steps[best]),
        best=float(known.values[best]),
        count=len(known.values),
        low_is_best=low_is_best,
    )


def signed(share: float) -> str:
    """Return a relative change with its sign: −30.3%, +2.0%."""
    return f"{'−' if share < 0 else '+'}{abs(share):.1%}"


def duration(seconds: float) -> str:
    """Return a time as people say it: 42 s, 12 min, 3 h 05 min, 2 d 4 h."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    if minutes < 90:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
