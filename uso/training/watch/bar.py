"""The live display of a training run: where it stands, how it does, and when it will be done."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import TYPE_CHECKING, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

if TYPE_CHECKING:
    from uso.training.run import Progress

_SMOOTHING = 0.9
_LINE_SECONDS = 30.0

Clock = Callable[[], float]


class TrainingBar:
    """Shows runs one after the other in a terminal; prints a line now and then where there is none.

    Called with a run's name and where it stands. Only the first process of a run shows anything: `enabled` is false on
    the others.
    """

    def __init__(self, console: Console, enabled: bool = True, clock: Clock = time.monotonic) -> None:
        self._console = console
        self._enabled = enabled
        self._clock = clock
        self._live = (
            Live(console=console, refresh_per_second=4, transient=True) if enabled and console.is_terminal else None
        )
        self._run: Standing | None = None
        self._printed = -math.inf

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_error: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def __call__(self, name: str, progress: Progress) -> None:
        """Show where the run of this name stands."""
        if not self._enabled:
            return
        now = self._clock()
        if self._run is None or self._run.name != name:
            self._run = Standing(name, progress.step, now)
            self._printed = -math.inf
        run = self._run
        run.take(progress.step, progress.steps, progress.values, now)
        if self._live:
            self._live.update(_panel(run))
        elif now - self._printed >= _LINE_SECONDS or run.step == run.steps or "heldout/loss" in progress.values:
            self._console.print(run.line(), highlight=False, markup=False, soft_wrap=True)
            self._printed = now


@dataclass
class Standing:
    """Where a run stands, from what it told so far; `began` is the step that it was at when first heard of."""

    name: str
    began: int
    since: float
    step: int = 0
    steps: int = 0
    now: float = 0.0
    loss: float | None = None
    heldout: tuple[int, float] | None = None
    latest: dict[str, float] = field(default_factory=dict)

    def take(self, step: int, steps: int, values: Mapping[str, float], now: float) -> None:
        """Take what the run tells; its loss goes into a running mean, unless it is not a number."""
        self.step, self.steps, self.now = step, steps, now
        self.latest.update(values)
        loss = values.get("train/loss")
        if loss is not None and math.isfinite(loss):
            self.loss = loss if self.loss is None else _SMOOTHING * self.loss + (1 - _SMOOTHING) * loss
        if "heldout/loss" in values:
            self.heldout = (step, values["heldout/loss"])

    def time_left(self) -> float | None:
        """Return the seconds left at the pace since it was first heard of, None before there is one."""
        done = self.step - self.began
        return (self.now - self.since) / done * (self.steps - self.step) if done > 0 else None

    def figures(self) -> list[tuple[str, str]]:
        """Return the figures that are known, each with its name."""
        found = []
        if self.loss is not None:
            found.append(("loss", f"{self.loss:.4f}"))
        if self.heldout is not None:
            found.append(("held-out loss", f"{self.heldout[1]:.4f} at step {self.heldout[0]:,}"))
        shown = {
            "train/images_per_second": ("images/s", "{:.1f}"),
            "train/data_wait_share": ("waiting for data", "{:.1%}"),
            "train/mfu": ("MFU", "{:.1%}"),
            "reward/style": ("style reward", "{:.3f}"),
            "reward/content": ("content similarity", "{:.3f}"),
        }
        found += [(label, form.format(self.latest[key])) for key, (label, form) in shown.items() if key in self.latest]
        left = self.time_left()
        if left is not None and self.step < self.steps:
            found.append(("time left", _duration(left)))
        return found

    def line(self) -> str:
        """Return all of it in one line."""
        parts = [f"{self.name}: step {self.step:,}/{self.steps:,}"]
        return ", ".join(parts + [f"{name} {figure}" for name, figure in self.figures()])


def _panel(run: Standing) -> RenderableType:
    top = Table.grid(padding=(0, 2), expand=True)
    top.add_column(no_wrap=True, style="bold")
    top.add_column(ratio=1)
    top.add_column(no_wrap=True, justify="right")
    top.add_row(run.name, ProgressBar(total=max(1, run.steps), completed=run.step), f"{run.step:,}/{run.steps:,}")
    figures = Table(box=None, padding=(0, 2), show_header=False)
    figures.add_column(justify="right", style="bold")
    figures.add_column()
    for name, figure in run.figures():
        figures.add_row(figure, name)
    return Group(top, figures)


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes:02d} min"
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
