"""Curves in the unit square as plain SVG."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from markupsafe import Markup, escape

_SIDE, _LEFT, _TOP, _BELOW, _RIGHT = 150, 30, 4, 32, 8
_MOST_POINTS = 160


def curve(x: Sequence[float], y: Sequence[float], *, across: str, up: str, chance: bool = False) -> Markup:
    """Return an SVG of a curve through points whose values lie between 0 and 1, with the names of its axes.

    `chance` draws the diagonal. Long curves are drawn through some of their points, the ends among them.
    """
    chosen = np.unique(np.linspace(0, len(x) - 1, min(len(x), _MOST_POINTS)).round().astype(int))
    points = " ".join("{:.1f},{:.1f}".format(*_place(x[number], y[number])) for number in chosen)
    left, bottom = _place(0, 0)
    right, top = _place(1, 1)
    parts = [
        f'<svg viewBox="0 0 {_LEFT + _SIDE + _RIGHT} {_TOP + _SIDE + _BELOW}" role="img" class="curve">',
        f"<title>{escape(up)} against {escape(across)}</title>",
        f'<path d="M{left},{top}V{bottom}H{right}" class="axis"/>',
    ]
    if chance:
        parts.append(f'<path d="M{left},{bottom}L{right},{top}" class="chance"/>')
    parts.append(f'<polyline points="{points}" class="line"/>')
    for value in (0, 0.5, 1):
        across_x, up_y = _place(value, value)
        parts.append(f'<text x="{across_x}" y="{bottom + 13}" class="tick" text-anchor="middle">{value:g}</text>')
        parts.append(f'<text x="{left - 4}" y="{up_y + 4}" class="tick" text-anchor="end">{value:g}</text>')
    middle = (left + right) / 2
    parts.append(f'<text x="{middle}" y="{bottom + 27}" class="tick" text-anchor="middle">{escape(across)}</text>')
    turned = f'transform="rotate(-90)" x="{-(top + bottom) / 2}" y="9"'
    parts.append(f'<text {turned} class="tick" text-anchor="middle">{escape(up)}</text>')
    return Markup("".join([*parts, "</svg>"]))  # every inserted text is a number or escaped


def _place(x: float, y: float) -> tuple[float, float]:
    """Return where a point of the unit square lies in the picture."""
    return _LEFT + x * _SIDE, _TOP + (1 - y) * _SIDE
