"""Line charts as plain SVG, drawn by few rules, that read in light and dark and need no script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from markupsafe import Markup, escape

from uso.training.watch.axes import Axis, compact, step_axis, value_axis
from uso.training.watch.curves import thinned
from uso.training.watch.metrics import Curve

_MOST_POINTS = 700
_STRIPS = 100
_TICK_WIDTH, _TICK_HEIGHT = 90, 42
_RIM = 4
"""Room around the axes for marks of points that lie on them."""

Kind = Literal["raw", "mean", "points"]
"""How a curve is drawn: faintly, as a bold line, or as marked points joined by a line."""


@dataclass(frozen=True)
class Line:
    """One curve of finite values with its name; `css` is the class that colours it."""

    name: str
    css: str
    kind: Kind
    curve: Curve


@dataclass(frozen=True)
class Form:
    """What a chart's values are: their unit, whether they are shares, whether the axis begins at zero; and its size."""

    unit: str = ""
    percent: bool = False
    from_zero: bool = False
    width: int = 560
    height: int = 260
    css: str = "chart"

    def small(self) -> Form:
        """Return the form for a small chart, of which several stand side by side."""
        return replace(self, width=340, height=170, css="chart small")


def line_chart(lines: Sequence[Line], form: Form, *, last_step: float, marks: Sequence[int] = ()) -> Markup:
    """Return an SVG of curves over steps 0 to `last_step`; `marks` are steps at which a run was resumed.

    The value axis is logarithmic where the values span more than a factor of 10. Hovering tells the values at a step.
    """
    across = step_axis(last_step, ticks=form.width // _TICK_WIDTH)
    values = [line.curve.values for line in lines]
    up = value_axis(values, from_zero=form.from_zero, ticks=round(form.height / _TICK_HEIGHT))
    left, right, top, bottom = 52, 12, 28, 30
    plot = _Plot(left, top, form.width - left - right, form.height - top - bottom, across, up)
    parts = [f'<svg viewBox="0 0 {form.width} {form.height}" role="img" class="{form.css}">']
    parts.append(f"<title>{escape(', '.join(line.name for line in lines))}</title>")
    parts += _grid(plot, form)
    parts += [_mark(plot, step) for step in marks]
    # An inner svg cuts off what lies outside of the axes.
    parts.append(
        f'<svg x="{plot.left - _RIM}" y="{plot.top - _RIM}" '
        f'width="{plot.width + 2 * _RIM}" height="{plot.height + 2 * _RIM}">'
    )
    parts += [_curve(plot, line) for line in lines]
    parts.append("</svg>")
    parts += _strips(plot, lines, form)
    parts.append("</svg>")
    return Markup("".join(parts))  # every inserted text is a number or escaped


@dataclass(frozen=True)
class _Plot:
    """The rectangle inside of the axes."""

    left: int
    top: int
    width: int
    height: int
    across: Axis
    up: Axis


def _grid(plot: _Plot, form: Form) -> list[str]:
    parts = []
    base = plot.top + plot.height
    for tick, at in zip(plot.up.ticks, plot.up.place(np.array(plot.up.ticks)), strict=True):
        y = base - at * plot.height
        label = plot.up.label(tick, percent=form.percent)
        parts.append(
            f'<line x1="{plot.left}" x2="{plot.left + plot.width}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
            f'<text x="{plot.left - 6}" y="{y:.1f}" class="tick" text-anchor="end" dy="0.33em">{label}</text>'
        )
    for tick, at in zip(plot.across.ticks, plot.across.place(np.array(plot.across.ticks)), strict=True):
        x = plot.left + at * plot.width
        anchor = "end" if at > 0.97 else "middle"
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{base}" y2="{base + 4}" class="axis"/>'
            f'<text x="{x:.1f}" y="{base + 7}" class="tick" text-anchor="{anchor}" dy="0.8em">'
            f"{plot.across.label(tick)}</text>"
        )
    unit = ", ".join(word for word in (form.unit, "log scale" if plot.up.log else "") if word)
    parts.append(f'<text x="4" y="4" class="unit" dy="0.7em">{escape(unit)}</text>')
    parts.append(
        f'<line x1="{plot.left}" x2="{plot.left + plot.width}" y1="{base}" y2="{base}" class="axis"/>'
        f'<text x="4" y="{base + 7}" class="unit" dy="0.8em">step</text>'
    )
    return parts


def _mark(plot: _Plot, step: int) -> str:
    x = plot.left + float(plot.across.place(np.array([step]))[0]) * plot.width
    return f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{plot.top}" y2="{plot.top + plot.height}" class="resumed"/>'


def _curve(plot: _Plot, line: Line) -> str:
    curve = thinned(line.curve, _MOST_POINTS)
    xs = _RIM + plot.across.place(curve.steps) * plot.width
    ys = np.clip(_RIM + (1 - plot.up.place(curve.values)) * plot.height, -9999, 9999)
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
    parts = [f'<g class="{line.kind} {escape(line.css)}">']
    if len(curve.values) > 1:
        parts.append(f'<polyline points="{path}"/>')
    if (line.kind == "points" and len(curve.values) <= 60) or len(curve.values) == 1:
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in zip(xs, ys, strict=True)]
    return "".join([*parts, "</g>"])


def _strips(plot: _Plot, lines: Sequence[Line], form: Form) -> list[str]:
    """Return unseen rectangles side by side, each of which tells the values nearest to its middle when pointed at."""
    steps = np.unique(np.concatenate([line.curve.steps for line in lines])) if lines else np.array([])
    if len(steps) > _STRIPS:
        steps = steps[np.linspace(0, len(steps) - 1, _STRIPS).round().astype(int)]
    xs = plot.left + plot.across.place(steps) * plot.width
    borders = np.concatenate([[plot.left], (xs[:-1] + xs[1:]) / 2, [plot.left + plot.width]])
    parts = []
    for index, (step, x) in enumerate(zip(steps, xs, strict=True)):
        said = [f"step {int(step):,}"]
        for line in lines:
            nearest = int(np.argmin(np.abs(line.curve.steps - step))) if len(line.curve.steps) else None
            if nearest is not None:
                said.append(f"{line.name}: {tell(float(line.curve.values[nearest]), percent=form.percent)}")
        parts.append(
            f'<g class="strip"><title>{escape(chr(10).join(said))}</title>'
            f'<rect x="{borders[index]:.1f}" y="{plot.top}" width="{borders[index + 1] - borders[index]:.1f}" '
            f'height="{plot.height}"/><line x1="{x:.1f}" x2="{x:.1f}" y1="{plot.top}" '
            f'y2="{plot.top + plot.height}"/></g>'
        )
    return parts


def tell(value: float, *, percent: bool = False) -> str:
    """Return a value as the page tells it: four digits, or as a percentage."""
    if percent:
        return f"{value:.1%}"
    return f"{value:#.4g}" if 1e-3 <= abs(value) < 999.95 else compact(value)
