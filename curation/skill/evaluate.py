"""An expert's figures from its trials: means with 95 % bootstrap intervals, and paired differences to the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from curation.skill.columns import SKILL_COLUMNS, SkillColumn
from curation.skill.trials import DRAWN, SYSTEMS, Trial
from uso.bench.bootstrap import Bootstrap, Interval
from workers.experts.base import Expert, ExpertRole, Pixels
from workers.scorers.base import View

if TYPE_CHECKING:
    from workers.encoders.load import NanoEncoder

Figures = dict[str, dict[str, Interval | None]]
"""By system, then by column."""


@dataclass(frozen=True)
class Skill:
    """What an expert can do: figures of every system on the same trials, and the expert's own less each other's."""

    role: ExpertRole
    title: str
    digest: str
    trials: int
    failures: dict[str, int]
    figures: Figures
    differences: Figures

    def to_json(self) -> dict[str, Any]:
        """Return the skill as plain values."""
        return asdict(self)


def evaluate(expert: Expert, trials: Sequence[Trial], encoder: NanoEncoder, *, resamples: int = 2000) -> Skill:
    """Return an expert's skill. Subjects and styles are resampled, not images, which share both."""
    columns = SKILL_COLUMNS[expert.role]
    values = _measured(trials, columns, encoder)
    targets = [trial.request.target_ref for trial in trials]
    bootstrap = Bootstrap([ref.subject for ref in targets], [ref.style for ref in targets], resamples=resamples)
    return Skill(
        role=expert.role,
        title=expert.title,
        digest=expert.digest,
        trials=len(trials),
        failures=dict(Counter(trial.failure for trial in trials if trial.failure is not None)),
        figures={
            system: {column.key: bootstrap.mean(values[system, column.key]) for column in columns} for system in SYSTEMS
        },
        differences={
            system: {
                column.key: bootstrap.difference(values[DRAWN, column.key], values[system, column.key])
                for column in columns
            }
            for system in SYSTEMS
            if system != DRAWN
        },
    )


def _measured(
    trials: Sequence[Trial], columns: Sequence[SkillColumn], encoder: NanoEncoder
) -> dict[tuple[str, str], NDArray[np.float64]]:
    """Return the values `[trials]` by system and column, not a number where something was not there to be measured."""
    shown = {system: _views([trial.answers[system] for trial in trials], encoder) for system in SYSTEMS}
    targets = _views([trial.request.target for trial in trials], encoder)
    wanted = _views([trial.wanted for trial in trials], encoder)
    values = {}
    for system in SYSTEMS:
        for column in columns:
            found = np.full(len(trials), np.nan)
            for place, trial in enumerate(trials):
                target, made = targets[place], shown[system][place]
                if target is not None and made is not None and column.layout in (None, trial.request.layout):
                    found[place] = column.measure(target, made, wanted[place])
            values[system, column.key] = found
    return values


def _views(pictures: Sequence[Pixels | None], encoder: NanoEncoder) -> list[View | None]:
    there = [pixels for pixels in pictures if pixels is not None]
    if not there:
        return [None] * len(pictures)
    embedded = iter([View(*parts) for parts in zip(there, *encoder.embed(there), strict=True)])
    return [None if pixels is None else next(embedded) for pixels in pictures]
