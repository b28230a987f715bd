"""How a run ended, told to whoever started it and left in its folder for whatever builds on it."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

Ending = Literal["finished", "interrupted", "stopped"]

OUTCOME = "outcome.json"


@dataclass(frozen=True)
class Outcome:
    """How a run ended: at its last step, by a signal, or by its watch-dog; and what it wrote for others."""

    ending: Ending
    step: int
    exported: tuple[Path, ...] = ()
    reason: str = ""


def read_outcome(out: Path) -> Outcome | None:
    """Return how the run in a folder ended last, None while it has not."""
    try:
        told = json.loads((out / OUTCOME).read_text())
    except FileNotFoundError:
        return None
    exported = tuple(out / path for path in told.pop("exported"))
    return Outcome(**told, exported=exported)


def write_outcome(out: Path, outcome: Outcome) -> None:
    """Leave a run's outcome in its folder, whole or not at all."""
    told = asdict(outcome) | {"exported": [str(path.relative_to(out)) for path in outcome.exported]}
    draft = out / f".{OUTCOME}"
    draft.write_text(json.dumps(told, indent=1) + "\n")
    draft.replace(out / OUTCOME)
