"""The page of an ablation study: every variant's figures, and what each part of the method is worth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from variants import Study

from uso.bench.bootstrap import Bootstrap, Interval
from uso.bench.columns import COLUMN
from uso.bench.results import Results
from uso.bench.table import told
from uso.tasks import Task

FULL = "full"
JOINT = (Task.LAYOUT_PRESERVED, Task.LAYOUT_SHIFTED)
SHIFTED = (Task.LAYOUT_SHIFTED,)
SHOWN: dict[str, tuple[Task, ...]] = {
    "nano_style": JOINT,
    "nano_subject": JOINT,
    "style_leak": JOINT,
    "palette_leak": JOINT,
    "layout_shift": SHIFTED,
}
"""Columns of the page, and the tasks that each is taken over: a layout is only asked to shift in one of them."""

Values = NDArray[np.float64]


def name_of(variant: str, seed: int) -> str:
    """Return what the bench calls a variant trained with a seed."""
    return f"{variant} {seed}"


@dataclass(frozen=True)
class Effect:
    """What a variant's figure is less the whole method's: over samples, and with each seed alone."""

    difference: Interval
    by_seed: tuple[float, ...]

    @property
    def shown(self) -> bool:
        """Return whether the interval leaves out 0 and every seed agrees on the sign."""
        low, high = self.difference.low, self.difference.high
        agreed = len({value > 0 for value in self.by_seed}) == 1
        return low is not None and high is not None and (low > 0 or high < 0) and agreed


class Tables:
    """Figures of a study by variant: pictures of all seeds are averaged sample by sample, then over samples."""

    def __init__(self, study: Study, results: Results, tasks: tuple[Task, ...]) -> None:
        self._study = study
        rows = [row for row in results.rows if row.task in tasks]
        first = rows[0].system
        samples = [row for row in rows if row.system == first]
        self._place = {row.number: place for place, row in enumerate(samples)}
        self._bootstrap = Bootstrap([row.subject for row in samples], [row.style for row in samples])
        self._rows = rows

    def values(self, system: str, column: str) -> Values:
        """Return a system's figure of each sample `[samples]`, NaN where it has none."""
        found = np.full(len(self._place), np.nan)
        for row in self._rows:
            if row.system == system and column in row.scores:
                found[self._place[row.number]] = row.scores[column]
        return found

    def mean(self, variant: str, column: str) -> Interval | None:
        """Return a variant's mean over seeds and samples; the interval is over subjects and styles."""
        return self._bootstrap.mean(np.mean(self._seeds(variant, column), axis=0))

    def effect(self, variant: str, column: str) -> Effect | None:
        """Return how far a variant is from the whole method."""
        ours, whole = self._seeds(variant, column), self._seeds(FULL, column)
        difference = self._bootstrap.mean(np.mean(ours - whole, axis=0))
        if difference is None:
            return None
        return Effect(difference, tuple(float(np.nanmean(each)) for each in ours - whole))

    def _seeds(self, variant: str, column: str) -> Values:
        return np.stack([self.values(name_of(variant, seed), column) for seed in self._study.seeds])


def page(study: Study, results: Results, command: str) -> str:
    """Return the tables of a study in Markdown."""
    tables = {column: Tables(study, results, tasks) for column, tasks in SHOWN.items()}
    first = name_of(FULL, study.seeds[0])
    samples = sum(row.system == first and row.task in JOINT for row in results.rows)
    titles = [COLUMN[column].title for column in SHOWN]
    lines = [
        f"{samples} joint samples of nano-bench (held-out subjects), {len(study.seeds)} seeds of training each; in "
        "brackets 95 % intervals over subjects and styles. Layout shift is that of the samples that ask for one.",
        "",
        "| variant | what it is | " + " | ".join(titles) + " |",
        "|---" * (len(titles) + 2) + "|",
    ]
    for name, variant in study.variants.items():
        figures = [told(tables[column].mean(name, column)) for column in SHOWN]
        lines.append(f"| {name} | {variant.about} | " + " | ".join(figures) + " |")
    lines += [
        "",
        "Less the whole method, sample by sample. An effect counts as shown (in bold) where its interval leaves out 0 "
        "and all seeds agree on the sign.",
        "",
        "| variant | " + " | ".join(titles) + " |",
        "|---" * (len(titles) + 1) + "|",
    ]
    for name in study.variants:
        if name != FULL:
            lines.append(
                f"| {name} | " + " | ".join(_effect(tables[column].effect(name, column)) for column in SHOWN) + " |"
            )
    return "\n".join([*lines, "", f"Made by `{command}`.", ""])


def _effect(effect: Effect | None) -> str:
    if effect is None:
        return "-"
    bounds = "" if effect.difference.low is None else f" [{effect.difference.low:+.3f}, {effect.difference.high:+.3f}]"
    text = f"{effect.difference.mean:+.3f}{bounds}"
    return f"**{text}**" if effect.shown else text
