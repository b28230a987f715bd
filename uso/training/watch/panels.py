"""Which metrics of a run are drawn in which panel of its report. What no panel knows gets one of its own."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from markupsafe import Markup

from uso.training.watch.axes import compact
from uso.training.watch.chart import Form, Line, line_chart
from uso.training.watch.curves import smoothed
from uso.training.watch.metrics import Curve
from uso.training.watch.summary import change

HELDOUT, TRAINING = "heldout/loss", "train/loss"
STYLE, CONTENT = "reward/style", "reward/content"
_REWARD = "reward/"

_AT_TIME = re.compile(rf"{HELDOUT}@(?P<time>[0-9.]+)")
_NOISY_FROM = 20
_COLOURS = 6


@dataclass(frozen=True)
class Panel:
    """One chart with its title, what it means, and the names and colours of its lines where there are several."""

    title: str
    meaning: str
    svg: Markup
    legend: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class Drawn:
    """A run as panels need it: its name, its curves, its last step, and the steps at which it was resumed."""

    name: str
    curves: Mapping[str, Curve]
    last_step: int
    resumed: Sequence[int] = ()


_KNOWN = {
    "train/learning_rate": ("Learning rate", "", Form(from_zero=True)),
    "train/gradient_norm": ("Gradient norm", "before it is bounded", Form(unit="norm")),
    "train/images_per_second": ("Speed", "samples of all processes", Form(unit="images/s", from_zero=True)),
    "train/data_wait_share": (
        "Waiting for data",
        "share of the time in which the step waited for samples",
        Form(unit="of the time", percent=True, from_zero=True),
    ),
    "train/mfu": (
        "Model FLOP/s utilisation",
        "operations that the step needs, over what the devices could do; an estimate",
        Form(unit="of the peak", percent=True, from_zero=True),
    ),
    "train/epoch": ("Epoch", "times that the data was gone through", Form(unit="epoch", from_zero=True)),
}
_STEADY = ("train/learning_rate", "train/epoch")


def loss_panels(run: Drawn, others: Sequence[Drawn] = ()) -> list[Panel]:
    """Return the held-out loss, with those of other runs beside it, and the training loss."""
    panels = []
    if _known(run, HELDOUT):
        meaning = "same samples, same times, same noise at every step: its trend can be read"
        panels.append(_compared("Held-out loss", meaning, HELDOUT, run, others, Form(unit="loss")))
    if _known(run, TRAINING):
        lines, meaning = _noisy(run.curves[TRAINING].finite())
        chart = line_chart(lines, Form(unit="loss"), last_step=run.last_step, marks=run.resumed)
        panels.append(Panel("Training loss", meaning, chart))
    return panels


def time_panels(run: Drawn, others: Sequence[Drawn] = ()) -> list[Panel]:
    """Return the held-out loss at each time of the flow; other runs have their colours of `loss_panels`."""
    names = sorted((match.group() for name in run.curves if (match := _AT_TIME.fullmatch(name))), key=_time)
    panels = []
    for name in names:
        went = change(run.curves[name])
        if went is not None:
            title = f"t = {_AT_TIME.fullmatch(name)['time']}"  # type: ignore[index]
            panel = _compared(title, went.short(), name, run, others, Form(unit="loss").small())
            panels.append(replace(panel, legend=()))
    return panels


def reward_panels(run: Drawn) -> list[Panel]:
    """Return style reward and content similarity in one panel, none where reward was never on."""
    pairs = ((STYLE, "style reward"), (CONTENT, "content similarity"))
    known = [(name, label) for name, label in pairs if _known(run, name)]
    if not known:
        return []
    lines = []
    for number, (name, label) in enumerate(known):
        curve = run.curves[name].finite()
        noisy = len(curve.values) >= _NOISY_FROM
        if noisy:
            lines.append(Line(f"{label}, raw", f"c{number}", "raw", curve))
        shown = smoothed(curve)[0] if noisy else curve
        lines.append(Line(label, f"c{number}", "mean" if noisy else "points", shown))
    meaning = "the style should rise, and the content stay: style that rises at the cost of content is reward hacking"
    chart = line_chart(lines, Form(unit="similarity"), last_step=run.last_step, marks=run.resumed)
    return [Panel("Style and content", meaning, chart, [(label, f"c{n}") for n, (_, label) in enumerate(known)])]


def other_panels(run: Drawn) -> tuple[list[Panel], list[Panel]]:
    """Return a small panel for each metric that has no place of its own: those of the reward, and all the others."""
    placed = {HELDOUT, TRAINING, STYLE, CONTENT, *_KNOWN}
    rest = sorted(name for name in run.curves if name not in placed and not _AT_TIME.fullmatch(name))
    reward = [name for name in rest if name.startswith(_REWARD)]
    general = [*_KNOWN, *(name for name in rest if name not in reward)]
    return (
        [_small(run, name) for name in reward if _known(run, name)],
        [_small(run, name) for name in general if _known(run, name)],
    )


def _small(run: Drawn, name: str) -> Panel:
    title, meaning, form = _KNOWN.get(name, (name, "", Form()))
    curve = run.curves[name].finite()
    lines = [Line(title, "c0", "mean" if len(curve.values) > 1 else "points", curve)]
    if name.startswith("heldout/"):
        lines = [Line(title, "c0", "points", curve)]
    elif name not in _STEADY:
        lines, _ = _noisy(curve)
    return Panel(title, meaning, line_chart(lines, form.small(), last_step=run.last_step, marks=run.resumed))


def _compared(title: str, meaning: str, name: str, run: Drawn, others: Sequence[Drawn], form: Form) -> Panel:
    beside = [other for other in others if _known(other, name)]
    shown = [*reversed(list(enumerate(beside, start=1))), (0, run)]
    lines = [Line(one.name, f"c{n % _COLOURS}", "points", one.curves[name].finite()) for n, one in shown]
    last = max(one.last_step for _, one in shown)
    legend = [(run.name, "c0"), *((one.name, f"c{n % _COLOURS}") for n, one in enumerate(beside, start=1))]
    chart = line_chart(lines, form, last_step=last, marks=run.resumed)
    return Panel(title, meaning, chart, legend if beside else ())


def _noisy(curve: Curve) -> tuple[list[Line], str]:
    """Return the lines of a noisy curve, raw and smoothed, and what they are; short ones are drawn as they are."""
    if len(curve.values) < _NOISY_FROM:
        return [Line("value", "c0", "points", curve)], "as recorded"
    mean, span = smoothed(curve)
    between = float(np.median(np.diff(curve.steps)))
    raw = f"means over {compact(between)} steps" if between > 1 else "each step"
    lines = [Line("raw", "c0", "raw", curve), Line("running mean", "c0", "mean", mean)]
    return lines, f"faint: {raw}; bold: running mean over about {span:,.0f} steps"


def _known(run: Drawn, name: str) -> bool:
    return name in run.curves and len(run.curves[name].finite().values) > 0


def _time(name: str) -> float:
    return float(name.partition("@")[2])
