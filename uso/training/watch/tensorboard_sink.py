"""TensorBoard event files of a run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image


class TensorBoardSink:
    """Writes scalars and pictures below a folder; on resumption TensorBoard is told to forget what is past the step."""

    def __init__(self, folder: Path, resume_step: int | None) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        purge = 0 if resume_step is None else resume_step + 1
        self._writer = SummaryWriter(str(folder), purge_step=purge)

    def scalars(self, step: int, time: float, values: Mapping[str, float]) -> None:
        """Write values, and flush them, so that a crash loses none that metrics.jsonl has."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step, walltime=time)
        self._writer.flush()

    def image(self, step: int, name: str, picture: Image.Image) -> None:
        """Write a picture."""
        self._writer.add_image(name, np.asarray(picture.convert("RGB")), step, dataformats="HWC")

    def close(self) -> None:
        """Write what is left, and close the file."""
        self._writer.close()
