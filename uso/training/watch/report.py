"""The report of a run: one page with its curves, its pictures, its recipe and its data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined

from uso.training.watch.axes import compact
from uso.training.watch.chart import tell
from uso.training.watch.curves import smoothed
from uso.training.watch.gallery import galleries
from uso.training.watch.jsonl import METRICS
from uso.training.watch.metrics import Metrics, read_metrics
from uso.training.watch.panels import (
    CONTENT,
    HELDOUT,
    STYLE,
    TRAINING,
    Drawn,
    loss_panels,
    other_panels,
    reward_panels,
    time_panels,
)
from uso.training.watch.run_file import RunFacts, Start, read_run
from uso.training.watch.summary import Change, change, duration, signed

REPORT = "report.html"

_SKIPPED = "skipped.jsonl"
_COMPARED = ("data", "recipe.train", "recipe.data.side", "recipe.watch.heldout")
"""Facts that must agree where two runs' held-out losses are to be measured on the same footing."""


@dataclass(frozen=True)
class Run:
    """Everything that is known of a run."""

    name: str
    out: Path
    facts: Mapping[str, Any]
    starts: Sequence[Start]
    metrics: Metrics

    def drawn(self) -> Drawn:
        """Return the run as panels need it."""
        resumed = [start.step for start in self.starts if start.step]
        return Drawn(self.name, self.metrics.curves, self.metrics.last_step(), resumed)


def write_report(out: Path, others: Sequence[Path] = ()) -> Path:
    """Write `<out>/report.html`, one file that opens without a server or a network, and return its path.

    It can be written at any time, of a run that is still going on as well. `others` are folders of runs whose held-out
    losses are drawn beside this one's. Raises ValueError on folders that hold no run.
    """
    run, *beside = _named_apart([_read(folder) for folder in (out, *others)])
    environment = Environment(
        loader=PackageLoader("uso.training.watch", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters |= {"day": _day, "tell": tell, "count": _count}
    drawn, drawn_beside = run.drawn(), [other.drawn() for other in beside]
    reward_figures, figures = other_panels(drawn)
    page = environment.get_template("report.html.j2").render(
        run=run,
        steps=_recipe(run.facts).get("steps"),
        tiles=_tiles(run),
        sentences=_sentences(run),
        losses=loss_panels(drawn, drawn_beside),
        times=time_panels(drawn, drawn_beside),
        rewards=reward_panels(drawn),
        reward_figures=reward_figures,
        figures=figures,
        galleries=galleries(out),
        compared=[_compared(one, run) for one in (run, *beside)] if beside else [],
        data=[row for row in run.facts.get("data", []) if isinstance(row, Mapping)],
        facts=_other_facts(run.facts),
        recipe=yaml.safe_dump(_recipe(run.facts), sort_keys=False, default_flow_style=None, width=100),
    )
    path = out / REPORT
    draft = path.with_name(f".{REPORT}.partial")
    draft.write_text(page, encoding="utf-8")
    draft.replace(path)
    return path


def _read(out: Path) -> Run:
    if not (out / METRICS).is_file():
        raise ValueError(f"{out}: holds no {METRICS}; name the folder of a run (`--out` of `triptych train`)")
    found: RunFacts = read_run(out)
    return Run(str(found.facts.get("name", out.name)), out, found.facts, found.starts, read_metrics(out))


def _named_apart(runs: Sequence[Run]) -> list[Run]:
    """Return the runs under their names, or under their folders where two have the same name."""
    names = [run.name for run in runs]
    return [
        Run(str(run.out), run.out, run.facts, run.starts, run.metrics) if names.count(run.name) > 1 else run
        for run in runs
    ]


def _recipe(facts: Mapping[str, Any]) -> Mapping[str, Any]:
    recipe = facts.get("recipe")
    return recipe if isinstance(recipe, Mapping) else {}


def _tiles(run: Run) -> list[tuple[str, str]]:
    """Return the figures at the top of the page, each with what it is."""
    curves, steps = run.metrics.curves, _recipe(run.facts).get("steps")
    tiles = [(f"{run.metrics.last_step():,}", f"of {steps:,} steps" if isinstance(steps, int) else "steps")]
    heldout = change(curves.get(HELDOUT))
    if heldout is not None:
        moved = "" if heldout.relative is None else f", {signed(heldout.relative)}"
        tiles.append((tell(heldout.last), f"held-out loss{moved}"))
    training = curves[TRAINING].finite() if TRAINING in curves else None
    if training is not None and len(training.values):
        tiles.append((tell(float(smoothed(training)[0].values[-1])), "training loss, running mean"))
    for name, label, form in (
        ("train/images_per_second", "images/s, median", "{:,.1f}"),
        ("train/data_wait_share", "waiting for data, mean", "{:.1%}"),
        ("train/mfu", "MFU estimate, median", "{:.1%}"),
    ):
        values = curves[name].finite().values if name in curves else ()
        if len(values):
            middle = np.mean(values) if "mean" in label else np.median(values)
            tiles.append((form.format(float(middle)), label))
    seconds = run.metrics.seconds(run.starts)
    if seconds:
        tiles.append((duration(seconds), "of training"))
    trained = run.facts.get("trained_parameters")
    if isinstance(trained, int):
        tiles.append((compact(trained), "trained parameters"))
    return tiles


def _sentences(run: Run) -> list[str]:
    """Return what the curves say, in words."""
    curves = run.metrics.curves
    heldout = change(curves.get(HELDOUT))
    said = ["This run measured no held-out loss." if heldout is None else heldout.sentence("Held-out loss")]
    for name, label in ((STYLE, "Style reward"), (CONTENT, "Content similarity")):
        moved = change(curves.get(name), low_is_best=False)
        if moved is not None:
            said.append(moved.sentence(label))
    for name in sorted(curves):
        lost = curves[name].lost()
        if lost:
            values = "One value" if len(lost) == 1 else f"{len(lost):,} values"
            verb = "was not a finite number: " if len(lost) == 1 else "were not finite numbers, the first "
            said.append(f"{values} of {name} {verb}at step {lost[0]:,}.")
    skipped = _count_lines(run.out / _SKIPPED)
    if skipped:
        said.append(f"{skipped:,} damaged sample{'s were' if skipped > 1 else ' was'} skipped; see {_SKIPPED}.")
    return said


def _compared(one: Run, run: Run) -> dict[str, Any]:
    """Return a row of the comparison: how a run's held-out loss went, and what was measured otherwise than in `run`."""
    moved: Change | None = change(one.metrics.curves.get(HELDOUT))
    differs = [key for key in _COMPARED if _fact(one.facts, key) != _fact(run.facts, key)]
    return {"name": one.name, "steps": one.metrics.last_step(), "change": moved, "differs": differs}


def _fact(facts: Mapping[str, Any], key: str) -> Any:
    value: Any = facts
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _other_facts(facts: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the facts that have no place of their own, inner ones by `outer inner`."""
    found = []
    for key, value in facts.items():
        if key in ("name", "recipe", "data"):
            continue
        if isinstance(value, Mapping):
            found += [(f"{key} {inner}", str(one)) for inner, one in value.items()]
        else:
            found.append((key, _count(value)))
    return [(key.replace("_", " "), value) for key, value in found]


def _count_lines(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.is_file() else 0


def _count(value: object) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _day(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M")
