"""The plane of the joint task as plain SVG: subject kept to the right, style met upwards, intervals as crosses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from uso.bench.bootstrap import Interval

_STEPS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_WIDTH, _HEIGHT, _LEFT, _FOOT, _TOP, _RIGHT = 560, 380, 52, 44, 12, 20


@dataclass(frozen=True)
class Point:
    """A system's place: its name, its colour (a CSS class), and its figures of subject and style."""

    name: str
    css: str
    subject: Interval
    style: Interval


def plane(points: Sequence[Point], subject: str, style: str) -> Markup:
    """Return an SVG of the points; `subject` and `style` are the titles of the axes."""
    across = _axis([point.subject for point in points])
    upwards = _axis([point.style for point in points])

    def x(value: float) -> float:
        return _LEFT + (value - across[0]) / (across[1] - across[0]) * (_WIDTH - _LEFT - _RIGHT)

    def y(value: float) -> float:
        return _HEIGHT - _FOOT - (value - upwards[0]) / (upwards[1] - upwards[0]) * (_HEIGHT - _FOOT - _TOP)

    parts = [f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" class="plane">']
    for right in _ticks(across):
        parts.append(
            f'<line class="grid" x1="{x(right):.1f}" x2="{x(right):.1f}" y1="{_TOP}" y2="{_HEIGHT - _FOOT}"/>'
            f'<text class="tick" x="{x(right):.1f}" y="{_HEIGHT - _FOOT + 15}" text-anchor="middle">{right:.2f}</text>'
        )
    for up in _ticks(upwards):
        parts.append(
            f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y(up):.1f}" y2="{y(up):.1f}"/>'
            f'<text class="tick" x="{_LEFT - 6}" y="{y(up) + 4:.1f}" text-anchor="end">{up:.2f}</text>'
        )
    parts.append(
        f'<text class="title" x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 8}" text-anchor="end">{escape(subject)} →</text>'
        f'<text class="title" transform="translate(13 {_TOP}) rotate(-90)" text-anchor="end">{escape(style)} →</text>'
    )
    for point in points:
        a, b = x(point.subject.mean), y(point.style.mean)
        left, right = (x(bound) for bound in _bounds(point.subject))
        low, high = (y(bound) for bound in _bounds(point.style))
        beyond = a > _WIDTH - 120
        parts.append(
            f'<g class="{escape(point.css)}">'
            f'<path class="whisker" d="M{left:.1f} {b:.1f}H{right:.1f}M{a:.1f} {low:.1f}V{high:.1f}"/>'
            f'<circle cx="{a:.1f}" cy="{b:.1f}" r="5"/>'
            f'<text class="name" x="{a + (-9 if beyond else 9):.1f}" y="{b - 8:.1f}" '
            f'text-anchor="{"end" if beyond else "start"}">{escape(point.name)}</text></g>'
        )
    return Markup("".join([*parts, "</svg>"]))  # every inserted text is a number or escaped


def _bounds(interval: Interval) -> tuple[float, float]:
    low = interval.mean if interval.low is None else interval.low
    return low, interval.mean if interval.high is None else interval.high


def _axis(intervals: Sequence[Interval]) -> tuple[float, float]:
    ends = [bound for interval in intervals for bound in _bounds(interval)]
    play = max(0.05 * (max(ends) - min(ends)), 0.02)
    return min(ends) - play, max(ends) + play


def _ticks(axis: tuple[float, float]) -> list[float]:
    """Return round numbers along an axis, eight at most."""
    low, high = axis
    step = next(step for step in _STEPS if (high - low) / step <= 8)
    return [number * step for number in range(math.ceil(low / step), math.floor(high / step) + 1)]
