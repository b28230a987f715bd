"""Bars with intervals as plain SVG: one bar a system, a whisker over each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from uso.bench.bootstrap import Interval

_WIDTH, _ROW, _LABEL, _VALUE, _FOOT = 460, 24, 120, 52, 18


@dataclass(frozen=True)
class Bar:
    """A system's bar: its name, its colour (a CSS class), and its figure, None where it has none."""

    name: str
    css: str
    interval: Interval | None


def bars(rows: Sequence[Bar]) -> Markup:
    """Return an SVG of horizontal bars on one axis that begins at zero, or below it where a figure does."""
    known = [row.interval for row in rows if row.interval is not None]
    ends = [bound for found in known for bound in (found.mean, found.low, found.high) if bound is not None]
    low, high = min([0.0, *ends]), max([0.0, *ends])
    if high - low < 1e-9:
        high = low + 1.0

    def place(value: float) -> float:
        return _LABEL + (value - low) / (high - low) * (_WIDTH - _LABEL - _VALUE)

    height = _ROW * len(rows) + _FOOT
    parts = [f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" class="bars">']
    for number, row in enumerate(rows):
        parts.append(_bar(row, number * _ROW, place))
    foot = _ROW * len(rows)
    parts.append(f'<line class="zero" x1="{place(0):.1f}" x2="{place(0):.1f}" y1="0" y2="{foot}"/>')
    for value, anchor in ((low, "start"), (high, "end")):
        x, y = place(value), height - 4
        parts.append(f'<text class="tick" x="{x:.1f}" y="{y}" text-anchor="{anchor}">{value:.2f}</text>')
    return Markup("".join([*parts, "</svg>"]))  # every inserted text is a number or escaped


def _bar(row: Bar, top: float, place: Callable[[float], float]) -> str:
    middle = top + _ROW / 2
    label = f'<text class="name" x="{_LABEL - 8}" y="{middle + 4}" text-anchor="end">{escape(_cut(row.name))}</text>'
    found = row.interval
    if found is None:
        return f'{label}<text class="tick" x="{place(0) + 6:.1f}" y="{middle + 4}">no answer</text>'
    left, right = sorted((place(0), place(found.mean)))
    parts = [
        f'<g class="{escape(row.css)}"><title>{escape(row.name)}: {found.mean:.3f}</title>{label}',
        f'<rect x="{left:.1f}" y="{top + 5}" width="{max(right - left, 1):.1f}" height="{_ROW - 10}" rx="2"/>',
    ]
    if found.low is not None and found.high is not None:
        a, b = place(found.low), place(found.high)
        parts.append(
            f'<path class="whisker" d="M{a:.1f} {middle}H{b:.1f}M{a:.1f} {middle - 4}v8M{b:.1f} {middle - 4}v8"/>'
        )
    parts.append(f'<text class="value" x="{_WIDTH - 2}" y="{middle + 4}" text-anchor="end">{found.mean:.3f}</text></g>')
    return "".join(parts)


def _cut(name: str) -> str:
    return name if len(name) <= 17 else name[:16] + "…"
