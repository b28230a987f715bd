"""run.json: what a run is, and when it was started and resumed."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from uso.training.watch.credentials import without_credentials

RUN = "run.json"
_STARTS = "starts"


@dataclass(frozen=True)
class Start:
    """One start of a run: the step that it went on from, and the time, in seconds since 1970."""

    step: int
    time: float


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run: the facts that it was begun with last, and all its starts."""

    facts: Mapping[str, object]
    starts: tuple[Start, ...]


def write_run(out: Path, facts: Mapping[str, object], resume_step: int | None) -> RunFacts:
    """Write the facts of a run that starts now, without credentials, and return them with all starts so far.

    Starts past the step that is resumed from are left out: what they made will be made again.
    """
    earlier = [] if resume_step is None else [start for start in read_run(out).starts if start.step <= resume_step]
    starts = (*earlier, Start(resume_step or 0, time.time()))
    clean: dict[str, object] = without_credentials(facts)
    text = json.dumps({**clean, _STARTS: [vars(start) for start in starts]}, indent=1, default=str, ensure_ascii=False)
    draft = out / f".{RUN}.partial"
    draft.write_text(text + "\n", encoding="utf-8")
    draft.replace(out / RUN)
    return RunFacts(clean, starts)


def read_run(out: Path) -> RunFacts:
    """Return what run.json says; nothing where there is none."""
    path = out / RUN
    if not path.is_file():
        return RunFacts({}, ())
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        starts = tuple(Start(int(start["step"]), float(start["time"])) for start in facts.pop(_STARTS, []))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: is not what a run writes ({error}); remove it, and resume the run") from None
    return RunFacts(facts, starts)
