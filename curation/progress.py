"""The live display of a running job: a bar for each phase, and the funnel as it fills."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, TaskID, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table

from curation.graph.flow import FLOW, StageFlow
from curation.job import Progress

_SHOWN_REASONS = 8
PHASES = {
    "listing": "listing sources",
    "ingest": "ingesting targets",
    "judge": "examining the judge",
    "bank": "embedding the reference bank",
    "models": "loading models",
    "curate": "curating candidates",
    "done": "done",
}
"""What a job is doing, in words, by the name of its phase."""


class LiveDisplay:
    """Shows a job's progress in a terminal, and prints a line a phase where there is none."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Bars(
            TextColumn("{task.description:<20}"),
            BarColumn(bar_width=None),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=console,
            expand=True,
        )
        self._ingest: TaskID = self._bars.add_task("targets ingested", total=None)
        self._curate: TaskID = self._bars.add_task("candidates", total=None, start=False)
        self._progress = Progress()
        watched = Live(console=console, refresh_per_second=4, transient=True, get_renderable=self._picture)
        self._live = watched if console.is_terminal else None
        self._phase = ""

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_error: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def __call__(self, progress: Progress) -> None:
        """Show where the job stands."""
        self._progress = progress
        if self._live:
            self._update_bars(progress)
        elif progress.phase != self._phase or progress.phase == "curate":
            self._console.print(_line(progress), highlight=False)
        self._phase = progress.phase

    def _picture(self) -> RenderableType:
        """Return what stands in the terminal now: stages go on between the job's own messages."""
        return Group(self._bars, funnel(self._progress), *([stages(FLOW.stages())] if FLOW.stages() else []))

    def _update_bars(self, progress: Progress) -> None:
        self._bars.update(self._ingest, completed=progress.ingested, total=progress.targets or None)
        if progress.phase == "curate" and self._phase != "curate":
            self._bars.start_task(self._curate)
        done = progress.committed_before + progress.committed
        self._bars.update(self._curate, completed=done, total=progress.candidates or None)


def funnel(progress: Progress) -> RenderableType:
    """Return the funnel as a table: how many came in, and what became of them."""
    table = Table(box=None, padding=(0, 2), show_header=False)
    table.add_column(justify="right", style="bold")
    table.add_column()
    now = "" if progress.phase == "done" else f" ({_doing(progress)})"
    table.add_row(f"{progress.targets:,}", f"targets{now}")
    if progress.refused:
        table.add_row(f"{progress.refused:,}", "targets refused at ingest", style="yellow")
    if progress.duplicates:
        table.add_row(f"{progress.duplicates:,}", "targets that repeat an earlier one", style="yellow")
    if progress.attempt:
        table.add_row(f"{progress.attempt + 1}.", "attempt at what failed before")
    if progress.committed_before:
        table.add_row(f"{progress.committed_before:,}", "candidates committed by earlier runs")
    table.add_row(f"{progress.committed:,}", "candidates committed")
    if progress.left_out:
        said = "candidates were committed by another job meanwhile, and left out here"
        table.add_row(f"{progress.left_out:,}", said, style="yellow")
    table.add_row(f"{progress.accepted:,}", f"accepted, in {progress.shards:,} shards", style="green")
    if progress.spilled_mb:
        said = "MB spilled to disk: object stores were full (docs/cluster.md)"
        table.add_row(f"{progress.spilled_mb:,}", said, style="yellow")
    if progress.canaries:
        table.add_row(f"{progress.canary_hits}/{progress.canaries}", "canaries judged rightly")
    for reason, count in progress.reasons.most_common(_SHOWN_REASONS):
        table.add_row(f"{count:,}", reason, style="dim")
    return table


def stages(flow: Mapping[str, StageFlow]) -> RenderableType:
    """Return the stages of the graph as a table."""
    table = Table("stage", "rows", "waiting", "workers", "loading", box=None, padding=(0, 2), header_style="dim")
    for name, stage in flow.items():
        table.add_row(name, *(f"{n:,}" for n in (stage.rows, stage.waiting, stage.workers, stage.loading)), style="dim")
    return table


def _doing(progress: Progress) -> str:
    loading = FLOW.loading() if progress.phase == "curate" else None
    if loading:
        return f"{PHASES['models']}: {loading[0]} of {loading[1]} workers are ready"
    return PHASES[progress.phase]


def _line(progress: Progress) -> str:
    done = progress.committed_before + progress.committed
    if progress.phase == "curate" and progress.candidates:
        again = f"attempt {progress.attempt + 1}, " if progress.attempt else ""
        return f"{again}candidates {done:,}/{progress.candidates:,}, accepted {progress.accepted:,}"
    return PHASES[progress.phase]
