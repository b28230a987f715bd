"""A contact sheet of trials: the target, a picture of what is to be shown, and every system's answer side by side."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image

from curation.skill.trials import SYSTEMS, Trial
from uso.contact_sheet import SheetRow, contact_sheet
from workers.experts.base import Pixels

_CELL = 112


def skill_sheet(trials: Sequence[Trial], count: int) -> Image.Image:
    """Return the first `count` trials as one picture. Raises ValueError without trials."""
    return contact_sheet([_row(trial) for trial in trials[:count]], _CELL)


def _row(trial: Trial) -> SheetRow:
    ref = trial.request.target_ref
    asked = f"{ref.subject} in {ref.style}, {trial.request.layout}" + (f" - {trial.failure}" if trial.failure else "")
    given = [("target", Image.fromarray(trial.request.target)), ("true picture", _picture(trial.wanted))]
    return SheetRow(asked, given, [(system, _picture(trial.answers[system])) for system in SYSTEMS])


def _picture(pixels: Pixels | None) -> Image.Image:
    return Image.new("RGB", (8, 8), (225, 225, 225)) if pixels is None else Image.fromarray(pixels)
