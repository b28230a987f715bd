"""What a person sees while a run goes on."""

from __future__ import annotations

import io
import math

from rich.console import Console

from uso.training.run import Progress
from uso.training.watch.bar import TrainingBar


class Clock:
    """A clock that is set by hand."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def watch(terminal: bool = False, enabled: bool = True) -> tuple[TrainingBar, io.StringIO, Clock]:
    text, clock = io.StringIO(), Clock()
    return TrainingBar(Console(file=text, force_terminal=terminal, width=120), enabled, clock), text, clock


def test_without_a_terminal_a_line_comes_every_half_minute_and_at_the_end() -> None:
    bar, text, clock = watch()
    with bar:
        for step in range(10, 1001, 10):
            clock.now += 1.0
            bar("nano", Progress(step, 1000, {"train/loss": 0.5, "train/images_per_second": 57.3}))
    lines = text.getvalue().splitlines()
    assert [line.split(",")[0] for line in lines] == [
        "nano: step 10/1",
        "nano: step 310/1",
        "nano: step 610/1",
        "nano: step 910/1",
        "nano: step 1",
    ]
    assert lines[1] == "nano: step 310/1,000, loss 0.5000, images/s 57.3, time left 1 min 09 s"


def test_a_held_out_loss_is_told_at_once_and_stays() -> None:
    bar, text, clock = watch()
    with bar:
        bar("nano", Progress(10, 100, {"train/loss": 0.5}))
        clock.now = 1.0
        bar("nano", Progress(20, 100, {"heldout/loss": 0.3125}))
        clock.now = 100.0
        bar("nano", Progress(30, 100, {"train/loss": math.nan, "train/mfu": 0.41, "train/data_wait_share": 0.012}))
    lines = text.getvalue().splitlines()
    assert len(lines) == 3
    assert "held-out loss 0.3125 at step 20" in lines[1]
    assert "loss 0.5000, held-out loss 0.3125 at step 20, waiting for data 1.2%, MFU 41.0%" in lines[2]


def test_time_left_counts_from_where_the_run_was_resumed_and_each_run_has_its_own() -> None:
    bar, text, clock = watch()
    with bar:
        bar("base", Progress(900, 1000, {"train/loss": 0.5}))
        clock.now = 100.0
        bar("base", Progress(950, 1000, {"train/loss": 0.5}))
        bar("stage", Progress(10, 20, {"heldout/loss": 0.7}))
    lines = text.getvalue().splitlines()
    assert lines[1].endswith("time left 1 min 40 s")
    assert lines[2] == "stage: step 10/20, held-out loss 0.7000 at step 10"


def test_in_a_terminal_there_is_a_bar_with_the_figures() -> None:
    bar, text, clock = watch(terminal=True)
    with bar:
        bar("nano", Progress(10, 100, {"train/loss": 0.5}))
        clock.now = 30.0
        bar("nano", Progress(20, 100, {"train/loss": 0.5}))
    assert "20/100" in text.getvalue()
    assert "time left" in text.getvalue()


def test_other_processes_show_nothing() -> None:
    bar, text, _ = watch(enabled=False)
    with bar:
        bar("nano", Progress(100, 100, {"train/loss": 0.5}))
    assert text.getvalue() == ""
