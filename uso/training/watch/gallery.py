"""Pictures of a run for its report: made smaller and put into the page, with links to the files."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np
from PIL import Image

from uso.images import flatten
from uso.training.watch.samples import SAMPLES, SampleFile, sample_files

_SHOWN = 12
_LARGEST = (1400, 2800)


@dataclass(frozen=True)
class Frame:
    """One picture: its step, its data URI, and the address of its file from the report."""

    step: int
    image: str
    link: str
    width: int


@dataclass(frozen=True)
class Gallery:
    """Pictures of one name over the steps, the newest first; `left_out` are in the folder only."""

    name: str
    frames: Sequence[Frame]
    left_out: int


def galleries(out: Path) -> list[Gallery]:
    """Return a run's pictures by name: the newest, the first, and ten at most spread evenly between them."""
    return [_gallery(name, files) for name, files in sample_files(out).items()]


def _gallery(name: str, files: Sequence[SampleFile]) -> Gallery:
    chosen = np.unique(np.linspace(0, len(files) - 1, min(_SHOWN, len(files))).round().astype(int))
    frames = [_frame(files[index]) for index in reversed(chosen)]
    return Gallery(name, frames, len(files) - len(frames))


def _frame(file: SampleFile) -> Frame:
    with Image.open(file.path) as opened:
        opened.load()
        picture = flatten(opened)
        picture.thumbnail(_LARGEST)
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=85)
    encoded = base64.b64encode(buffer.getvalue()).decode()
    link = f"{SAMPLES}/{quote(file.path.name)}"
    return Frame(file.step, f"data:image/webp;base64,{encoded}", link, picture.width)
