"""Histograms as plain SVG, with the thresholds of the policy drawn in."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup, escape

_WIDTH, _HEIGHT, _BASE, _BINS = 300, 110, 92, 40


@dataclass(frozen=True)
class Series:
    """One group of values, drawn in one colour (a CSS class)."""

    name: str
    css: str
    values: Sequence[float]


def histogram(series: Sequence[Series], thresholds: Sequence[float]) -> Markup:
    """Return an SVG histogram of groups over a common axis; each group is scaled to its own tallest bin.

    The axis spans the values between their 0.2 and 99.8 percentiles and all thresholds.
    """
    everything = np.concatenate([np.asarray(group.values, dtype=float) for group in series])
    if everything.size == 0:
        return Markup("")
    low, high = (float(v) for v in np.quantile(everything, (0.002, 0.998)))
    low, high = min([low, *thresholds]), max([high, *thresholds])
    if high - low < 1e-9:
        low, high = low - 0.5, high + 0.5
    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" class="histogram">']
    for group in series:
        parts.append(_bars(group, low, high))
    for threshold in thresholds:
        x = _place(threshold, low, high)
        parts.append(
            f'<line x1="{x:.1f}" x2="{x:.1f}" y1="4" y2="{_BASE}" class="threshold"/>'
            f'<text x="{x:.1f}" y="3" class="tick" text-anchor="middle" dominant-baseline="hanging">'
            f"{threshold:g}</text>"
        )
    parts.append(f'<line x1="0" x2="{_WIDTH}" y1="{_BASE}" y2="{_BASE}" class="axis"/>')
    for value, anchor in ((low, "start"), ((low + high) / 2, "middle"), (high, "end")):
        x = _place(value, low, high)
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - 4}" class="tick" text-anchor="{anchor}">{value:.2f}</text>')
    parts.append("</svg>")
    return Markup("".join(parts))  # every inserted text is a number or escaped


def _place(value: float, low: float, high: float) -> float:
    return (value - low) / (high - low) * _WIDTH


def _bars(group: Series, low: float, high: float) -> str:
    counts, edges = np.histogram(np.clip(np.asarray(group.values, dtype=float), low, high), _BINS, (low, high))
    tallest = max(1, int(counts.max()))
    bars = [f'<g class="{escape(group.css)}"><title>{escape(group.name)}: {len(group.values):,}</title>']
    for count, left in zip(counts, edges[:-1], strict=True):
        if count:
            height = (_BASE - 16) * count / tallest
            bars.append(
                f'<rect x="{_place(float(left), low, high):.1f}" y="{_BASE - height:.1f}" '
                f'width="{_WIDTH / _BINS:.2f}" height="{height:.1f}"/>'
            )
    return "".join([*bars, "</g>"])
