"""What a run came to: one row a picture, kept as Parquet, and all that is told of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from uso.tasks import Task

ROWS = "results.parquet"
RESULTS = "results.json"

_TEXTS = ("system", "sample", "task", "subject", "style", "prompt", "content", "style_image", "truth", "picture")
_SCORES = (
    "clip_i",
    "dino",
    "nano_subject",
    "csd",
    "nano_style",
    "clip_t",
    "copy_share",
    "copy_paste",
    "style_copy_share",
    "style_copy",
    "style_leak",
    "palette_leak",
    "layout_shift",
)
_SCHEMA = pa.schema(
    [
        *((name, pa.string()) for name in _TEXTS),
        ("number", pa.int64()),
        ("seed", pa.int64()),
        *((name, pa.float64()) for name in _SCORES),
    ]
)


@dataclass(frozen=True)
class Row:
    """One sample by one system. A system that has no answer to it has neither picture nor scores.

    `content`, `style_image` and `truth` are paths in the set, `picture` one in the results folder.
    """

    system: str
    number: int
    sample: str
    task: Task
    subject: str
    style: str | None
    prompt: str
    seed: int
    content: str | None
    style_image: str | None
    truth: str | None
    picture: str | None
    scores: Mapping[str, float]


@dataclass(frozen=True)
class Results:
    """Rows, and who made and measured them."""

    set_name: str
    set_folder: str
    set_digest: str
    settings: Mapping[str, Any]
    suite: Mapping[str, Any]
    encoders: Mapping[str, Mapping[str, str]]
    systems: tuple[Mapping[str, Any], ...]
    rows: tuple[Row, ...]
    credits: tuple[Mapping[str, Any], ...] = ()

    def told(self) -> dict[str, Any]:
        """Return all but the rows as JSON."""
        return {
            "set": {"name": self.set_name, "folder": self.set_folder, "digest": self.set_digest},
            "settings": dict(self.settings),
            "suite": dict(self.suite),
            "encoders": {key: dict(told) for key, told in self.encoders.items()},
            "systems": [dict(system) for system in self.systems],
            "credits": [dict(credit) for credit in self.credits],
        }


def in_order(scores: Mapping[str, float]) -> dict[str, float]:
    """Return scores in the order of the columns, so that figures come out alike whatever they were read from."""
    return {name: scores[name] for name in _SCORES if name in scores}


def read_results(out: Path) -> Results:
    """Return what a finished run left. Raises ValueError where none has finished there."""
    try:
        told = json.loads((out / RESULTS).read_text())
        rows = pq.read_table(out / ROWS, schema=_SCHEMA).to_pylist()
    except FileNotFoundError as error:
        raise ValueError(f"{error.filename}: not there; `triptych bench run` writes results when it is done") from error
    return Results(
        set_name=told["set"]["name"],
        set_folder=told["set"]["folder"],
        set_digest=told["set"]["digest"],
        settings=told["settings"],
        suite=told["suite"],
        encoders=told["encoders"],
        systems=tuple(told["systems"]),
        rows=tuple(_row(row) for row in rows),
        credits=tuple(told["credits"]),
    )


def write_rows(rows: tuple[Row, ...], path: Path) -> None:
    """Write rows as Parquet, whole or not at all."""
    listed = [
        {name: getattr(row, name) for name in _TEXTS if name != "task"}
        | {"task": row.task.value, "number": row.number, "seed": row.seed}
        | {name: row.scores.get(name) for name in _SCORES}
        for row in rows
    ]
    draft = path.with_name(f".{path.name}")
    pq.write_table(pa.Table.from_pylist(listed, schema=_SCHEMA), draft)
    draft.replace(path)


def _row(told: Mapping[str, Any]) -> Row:
    scores = {name: told[name] for name in _SCORES if told[name] is not None}
    facts = {name: told[name] for name in _TEXTS if name != "task"}
    return Row(**facts, task=Task(told["task"]), number=told["number"], seed=told["seed"], scores=scores)
