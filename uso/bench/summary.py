"""Figures of a run: means with intervals, paired differences, and whether the claims of USO hold."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from uso.bench.bootstrap import Bootstrap, Interval, Values
from uso.bench.columns import COLUMN, COLUMNS, TASKS, Role, TaskKey
from uso.bench.results import Results, Row

RESAMPLES = 2000
LEVEL = 0.95
_DECIMALS = 4


@dataclass(frozen=True)
class Figure:
    """A mean of one column, of one system, in one task."""

    system: str
    task: TaskKey
    column: str
    interval: Interval


@dataclass(frozen=True)
class Difference:
    """How much higher a column is for a system than for another, over the pictures that both drew."""

    system: str
    other: str
    task: TaskKey
    column: str
    interval: Interval


@dataclass(frozen=True)
class Claim:
    """That a checkpoint's figure is higher than another system's; it holds where their intervals do not overlap."""

    system: str
    other: str
    task: TaskKey
    column: str
    mine: Interval
    theirs: Interval

    @property
    def holds(self) -> bool:
        """Return whether the whole interval lies above the other one."""
        return self.mine.above(self.theirs)


@dataclass(frozen=True)
class Summary:
    """All figures; `by_style` and `by_subject` are means, `[name][system][column]`, over the tasks `grouped_over`."""

    figures: tuple[Figure, ...]
    differences: tuple[Difference, ...]
    claims: tuple[Claim, ...]
    by_style: Mapping[str, Mapping[str, Mapping[str, float]]]
    by_subject: Mapping[str, Mapping[str, Mapping[str, float]]]
    grouped_over: tuple[TaskKey, ...]
    seed: int

    def figure(self, system: str, task: TaskKey, column: str) -> Interval | None:
        """Return a mean and its interval; None where there is none."""
        for figure in self.figures:
            if (figure.system, figure.task, figure.column) == (system, task, column):
                return figure.interval
        return None

    def columns(self, task: TaskKey, roles: Sequence[Role] = ("subject", "style", "text", "extra")) -> list[str]:
        """Return the columns that were measured in a task, in the order of the tables."""
        there = {figure.column for figure in self.figures if figure.task == task}
        return [column.key for column in COLUMNS if column.key in there and column.role in roles]

    def told(self) -> dict[str, Any]:
        """Return the figures as JSON, rounded."""
        claims = [
            {"system": c.system, "other": c.other, "task": c.task, "column": c.column, "holds": c.holds}
            | {"mine": _told(c.mine), "theirs": _told(c.theirs)}
            for c in self.claims
        ]
        return {
            "bootstrap": {"resamples": RESAMPLES, "level": LEVEL, "seed": self.seed, "drawn": ["subjects", "styles"]},
            "figures": [
                {"system": f.system, "task": f.task, "column": f.column} | _told(f.interval) for f in self.figures
            ],
            "differences": [
                {"system": d.system, "other": d.other, "task": d.task, "column": d.column} | _told(d.interval)
                for d in self.differences
            ],
            "claims": claims,
            "grouped_over": list(self.grouped_over),
            "by_style": self.by_style,
            "by_subject": self.by_subject,
        }


def summarize(results: Results, *, seed: int = 0) -> Summary:
    """Return the figures of a run; the same rows give the same figures to the digit."""
    names = [str(system["name"]) for system in results.systems]
    figures: list[Figure] = []
    differences: list[Difference] = []
    for task, kinds in TASKS.items():
        rows = {name: [row for row in results.rows if row.system == name and row.task in kinds] for name in names}
        first = rows[names[0]]
        if not first:
            continue
        bootstrap = Bootstrap(
            [row.subject for row in first], [row.style for row in first], resamples=RESAMPLES, level=LEVEL, seed=seed
        )
        for column in COLUMNS:
            values = {name: _values(rows[name], column.key) for name in names}
            for name in names:
                if (interval := bootstrap.mean(values[name])) is not None:
                    figures.append(Figure(name, task, column.key, interval))
            for place, name in enumerate(names):
                for other in names[place + 1 :]:
                    if (interval := bootstrap.difference(values[name], values[other])) is not None:
                        differences.append(Difference(name, other, task, column.key, interval))
    grouped: tuple[TaskKey, ...] = ("joint",) if any(f.task == "joint" for f in figures) else ("subject", "style")
    over = [row for row in results.rows if any(row.task in TASKS[task] for task in grouped)]
    return Summary(
        figures=tuple(figures),
        differences=tuple(differences),
        claims=tuple(_claims(results, figures)),
        by_style=_grouped([row for row in over if row.style is not None], by="style"),
        by_subject=_grouped(over, by="subject"),
        grouped_over=grouped,
        seed=seed,
    )


def _claims(results: Results, figures: Sequence[Figure]) -> list[Claim]:
    """Return what USO must be better at: copying the content in style, copying the style in subject, the base in both.

    Judged on the joint task, by every column of style and subject that was measured.
    """
    known = {(figure.system, figure.column): figure.interval for figure in figures if figure.task == "joint"}
    roles: dict[str, list[str]] = defaultdict(list)
    for column in COLUMNS:
        roles[column.role].append(column.key)
    claims = []
    for system in results.systems:
        if system["baseline"] is not None or system["is_base"]:
            continue
        for other in results.systems:
            if other["baseline"] == "copy-content":
                columns = roles["style"]
            elif other["baseline"] == "copy-style":
                columns = roles["subject"]
            elif other["is_base"]:
                columns = [*roles["style"], *roles["subject"]]
            else:
                continue
            for key in columns:
                mine, theirs = known.get((system["name"], key)), known.get((other["name"], key))
                if mine is not None and theirs is not None:
                    claims.append(Claim(system["name"], other["name"], "joint", key, mine, theirs))
    return claims


def _grouped(rows: Sequence[Row], *, by: str) -> dict[str, dict[str, dict[str, float]]]:
    """Return the mean of every column by the rows' style or subject, and by system."""
    collected: dict[str, dict[str, dict[str, list[float]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    for row in rows:
        for column, value in row.scores.items():
            if column in COLUMN:
                collected[str(getattr(row, by))][row.system][column].append(value)
    return {
        name: {
            system: {column: round(float(np.mean(values)), _DECIMALS) for column, values in columns.items()}
            for system, columns in systems.items()
        }
        for name, systems in sorted(collected.items())
    }


def _values(rows: Sequence[Row], column: str) -> Values:
    return np.array([row.scores.get(column, np.nan) for row in rows], dtype=np.float64)


def _told(interval: Interval) -> dict[str, Any]:
    return {
        key: round(value, _DECIMALS) if isinstance(value, float) else value for key, value in asdict(interval).items()
    }
