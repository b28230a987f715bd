"""The record of a run: run.json, metrics.jsonl, pictures, TensorBoard events, and W&B where it is asked for."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from PIL import Image

from uso.training.watch.jsonl import METRICS, MetricLines
from uso.training.watch.run_file import write_run
from uso.training.watch.samples import SAMPLES, SampleFolder
from uso.training.watch.tensorboard_sink import TensorBoardSink
from uso.training.watch.wandb_sink import WandbSink, wandb_wanted

TENSORBOARD = "tensorboard"


class Board(Protocol):
    """A display outside the run's own files, that takes scalars and pictures."""

    def scalars(self, step: int, time: float, values: Mapping[str, float]) -> None:
        """Take values of a step, with the time in seconds since 1970."""

    def image(self, step: int, name: str, picture: Image.Image) -> None:
        """Take a picture of a step."""

    def close(self) -> None:
        """Hand on what is left."""


class Recorder:
    """Records a run below `out`; made on rank 0 only.

    `run` holds the facts of the run (recipe, data versions, code version), of which credentials in addresses are left
    out. `resume_step` is the step of the checkpoint that is resumed from, and None for a new run. What was recorded
    past it will come again and is removed first, so that every curve has each step once; a new run starts with empty
    curves.
    """

    def __init__(self, out: Path, run: Mapping[str, object], resume_step: int | None) -> None:
        out.mkdir(parents=True, exist_ok=True)
        facts = write_run(out, run, resume_step)
        self._lines = MetricLines(out / METRICS, resume_step)
        self._samples = SampleFolder(out / SAMPLES, resume_step)
        self._boards: list[Board] = [TensorBoardSink(out / TENSORBOARD, resume_step)]
        if wandb_wanted(os.environ):
            self._boards.append(WandbSink(out, facts, os.environ))

    def scalars(self, step: int, values: Mapping[str, float]) -> None:
        """Record values of a step, such as `train/loss`; several calls may be made for one step."""
        now = time.time()
        self._lines.scalars(step, now, values)
        for board in self._boards:
            board.scalars(step, now, values)

    def image(self, step: int, name: str, picture: Image.Image) -> None:
        """Record a picture as `samples/<name>-<step>.png`, and on the boards."""
        self._samples.image(step, name, picture)
        for board in self._boards:
            board.image(step, name, picture)

    def close(self) -> None:
        """Close files, and let the boards finish."""
        self._lines.close()
        for board in self._boards:
            board.close()
