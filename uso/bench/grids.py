"""Pictures of a run for its report: samples with every system's answer, and the product of contents and styles."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
from PIL import Image

from uso.bench.columns import TASK_TITLES, TASKS, TaskKey
from uso.bench.results import Results, Row
from uso.images import flatten

_LARGEST = 192
_ROWS: Mapping[TaskKey, int] = {"preserved": 10, "shifted": 10, "subject": 6, "style": 6}
_CONTENTS, _STYLES = 6, 8


@dataclass(frozen=True)
class Cell:
    """One picture: a data URI (empty where there is none), and what is told of it when it is pointed at."""

    image: str
    told: str


@dataclass(frozen=True)
class SampleRow:
    """One sample: its prompt, its references, and the answers of the systems in their order."""

    prompt: str
    subject: str
    style: str
    content: Cell
    reference: Cell
    answers: Sequence[Cell]


@dataclass(frozen=True)
class TaskGrid:
    """Samples of one task, and the systems whose answers are shown: copies stand there as references already."""

    title: str
    systems: Sequence[str]
    rows: Sequence[SampleRow]
    every: int


@dataclass(frozen=True)
class Product:
    """A system's pictures of some contents in some styles, layout preserved: the references along both sides."""

    system: str
    styles: Sequence[Cell]
    rows: Sequence[tuple[Cell, Sequence[Cell]]]


def task_grids(results: Results, out: Path) -> list[TaskGrid]:
    """Return a grid a task of samples spread evenly over subjects and styles."""
    names = [str(system["name"]) for system in results.systems]
    answers = {(row.system, row.number): row for row in results.rows}
    shown_systems = [str(s["name"]) for s in results.systems if s["baseline"] in (None, "truth")]
    grids = []
    for task, count in _ROWS.items():
        rows = [row for row in results.rows if row.system == names[0] and row.task in TASKS[task]]
        if not rows:
            continue
        chosen = _spread(rows, count)
        folder = Path(results.set_folder)
        shown = [
            SampleRow(
                prompt=row.prompt,
                subject=row.subject,
                style=row.style or "",
                content=_cell(folder, row.content, row.subject),
                reference=_cell(folder, row.style_image, row.style or ""),
                answers=[_answer(answers[name, row.number], out) for name in shown_systems],
            )
            for row in chosen
        ]
        grids.append(TaskGrid(TASK_TITLES[task], shown_systems, shown, len(rows)))
    return grids


def products(results: Results, out: Path) -> list[Product]:
    """Return for each checkpoint, and the truth, the pictures of some contents in some styles, layout preserved."""
    found = []
    for system in results.systems:
        if system["baseline"] not in (None, "truth"):
            continue
        kept = [row for row in results.rows if row.system == system["name"] and row.task in TASKS["preserved"]]
        by_pair = {(row.subject, row.style): row for row in reversed(kept) if row.picture is not None}
        subjects = list(dict.fromkeys(row.subject for row in kept))[:_CONTENTS]
        styles = list(dict.fromkeys(row.style for row in kept))[:_STYLES]
        if len(subjects) < 2 or len(styles) < 2:
            continue
        folder = Path(results.set_folder)
        first = {row.subject: row for row in reversed(kept)}
        shown = {row.style: row for row in reversed(kept)}
        found.append(
            Product(
                str(system["name"]),
                [_cell(folder, shown[style].style_image, str(style)) for style in styles],
                [
                    (
                        _cell(folder, first[subject].content, subject),
                        [
                            _answer(by_pair[subject, style], out) if (subject, style) in by_pair else Cell("", "")
                            for style in styles
                        ],
                    )
                    for subject in subjects
                ],
            )
        )
    return found


def thumbnail(path: Path) -> str:
    """Return a small picture as a data URI, empty where the file is not there."""
    try:
        modified = path.stat().st_mtime_ns
    except OSError:
        return ""
    return _thumbnail(path, modified)


@lru_cache(maxsize=2048)
def _thumbnail(path: Path, modified: int) -> str:  # noqa: ARG001 - a picture that changed is another key
    with Image.open(path) as opened:
        opened.load()
        picture = flatten(opened)
    picture.thumbnail((_LARGEST, _LARGEST))
    buffer = io.BytesIO()
    picture.save(buffer, "WEBP", quality=88)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _spread(rows: Sequence[Row], count: int) -> list[Row]:
    """Return rows of as many different subjects and styles as there are: each next row repeats the fewest."""
    order = np.random.default_rng(0).permutation(len(rows))
    waiting = [rows[place] for place in order]
    subjects: dict[str, int] = {}
    styles: dict[str | None, int] = {}
    chosen: list[Row] = []
    while waiting and len(chosen) < count:
        row = min(waiting, key=lambda row: subjects.get(row.subject, 0) + styles.get(row.style, 0))
        waiting.remove(row)
        subjects[row.subject] = subjects.get(row.subject, 0) + 1
        styles[row.style] = styles.get(row.style, 0) + 1
        chosen.append(row)
    return chosen


def _answer(row: Row, out: Path) -> Cell:
    if row.picture is None:
        return Cell("", "")
    figures = ", ".join(f"{key.replace('_', ' ')} {value:.2f}" for key, value in row.scores.items())
    return Cell(thumbnail(out / row.picture), f"{row.system}: {figures}")


def _cell(folder: Path, path: str | None, told: str) -> Cell:
    return Cell("", "") if path is None else Cell(thumbnail(folder / path), told)
