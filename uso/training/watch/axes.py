"""Axes of the report's charts: their range, linear or logarithmic, where their ticks lie, and how numbers are told."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from uso.training.watch.metrics import Floats

_LOG_FROM = 10.0
"""Values that span more than this factor are drawn over a logarithmic axis."""

_LONG = 100
_OUTLIERS = 0.005

_TINY = 1e-200
"""Below it the logarithms and quotients of an axis would leave the range of floats."""


@dataclass(frozen=True)
class Axis:
    """A range of values, logarithmic or not, with its ticks; values outside of it are not drawn."""

    low: float
    high: float
    log: bool
    ticks: tuple[float, ...]

    def place(self, values: Floats) -> Floats:
        """Return where values lie, 0 at the low end and 1 at the high one; beyond the ends, outside of these."""
        if self.log:
            safe = np.log(np.maximum(values, self.low * 1e-6))
            return (safe - math.log(self.low)) / (math.log(self.high) - math.log(self.low))
        return (values - self.low) / (self.high - self.low)

    def label(self, tick: float, *, percent: bool = False) -> str:
        """Return a tick's label, with the digits that tell it from its neighbours."""
        gap = min((abs(b - a) for a, b in zip(self.ticks, self.ticks[1:], strict=False)), default=abs(tick) or 1.0)
        if percent:
            return f"{100 * tick:.{_decimals(100 * gap)}f}%"
        if tick == 0:
            return "0"
        largest = max(abs(self.ticks[0]), abs(self.ticks[-1]))
        if self.log or not 1e-3 <= largest < 1e5:
            return compact(tick, max(3, 3 + math.floor(math.log10(largest / gap))))
        return f"{tick:,.{_decimals(gap)}f}"


def value_axis(curves: Sequence[Floats], *, from_zero: bool = False, ticks: int = 4) -> Axis:
    """Return the axis that shows all values; a linear one leaves out the outermost 0.5 % of long curves.

    `from_zero` is for rates and shares, which are read by their height; `ticks` is about how many there should be.
    """
    parts = [values for values in curves if len(values)]
    if not parts:
        return Axis(0.0, 1.0, False, (0.0, 1.0))
    least, most = min(float(values.min()) for values in parts), max(float(values.max()) for values in parts)
    if least > _TINY and most / least > _LOG_FROM and not from_zero:
        return _logarithmic(least / 1.1, most * 1.1)
    bounds = [_without_outliers(values) for values in parts]
    low, high = min(low for low, _ in bounds), max(high for _, high in bounds)
    if from_zero and low >= 0:
        return _linear(0.0, high * 1.05 if high > _TINY else 1.0, ticks)
    largest = max(abs(low), abs(high))
    margin = 0.06 * (high - low) if high - low > 1e-9 * largest else 0.05 * largest
    margin = margin if margin > _TINY else 0.5
    return _linear(low - margin, high + margin, ticks)


def step_axis(last: float, *, ticks: int = 4) -> Axis:
    """Return the axis of steps, from 0 to the last one."""
    axis = _linear(0.0, max(1.0, last), ticks)
    return Axis(axis.low, axis.high, False, tuple(tick for tick in axis.ticks if tick == int(tick)))


def compact(value: float, digits: int = 3) -> str:
    """Return a number in few characters, with so many digits: 0.0031, 8e-5, 12.5, 3,400, 25k, 1.2M."""
    size = abs(value)
    if size == 0:
        return "0"
    if size < 1e-3 or size >= 1e12:
        mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
        return f"{float(mantissa):.{digits}g}e{int(exponent)}"
    for limit, unit, name in ((1e9, 1e9, "G"), (1e6, 1e6, "M"), (1e4, 1e3, "k")):
        if size >= limit:
            return f"{value / unit:.{digits}g}{name}"
    return f"{value:,.0f}" if size >= 1000 else f"{value:.{digits}g}"


def _without_outliers(values: Floats) -> tuple[float, float]:
    if len(values) < _LONG:
        return float(values.min()), float(values.max())
    low, high = np.quantile(values, (_OUTLIERS, 1 - _OUTLIERS))
    return float(low), float(high)


def _linear(low: float, high: float, count: int) -> Axis:
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    gap = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= raw * (1 - 1e-9))
    first, last = math.ceil(low / gap - 1e-9), math.floor(high / gap + 1e-9)
    ticks = tuple(float(f"{number * gap:.12g}") for number in range(first, last + 1))
    return Axis(low, high, False, ticks)


def _logarithmic(low: float, high: float) -> Axis:
    exponents = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    decades = math.log10(high / low)
    factors = (1, 2, 5) if decades < 2.5 else (1, 3) if decades < 3.5 else (1,)
    every = max(1, math.ceil(decades / 5))
    ticks = tuple(
        factor * 10.0**exponent
        for exponent in exponents
        if exponent % every == 0
        for factor in factors
        if low <= factor * 10.0**exponent <= high
    )
    return Axis(low, high, True, ticks)


def _decimals(gap: float) -> int:
    """Return the decimals that tell numbers a gap apart: 0.25 needs two, 0.5 one, 10 none."""
    return next((digits for digits in range(12) if abs(gap * 10**digits - round(gap * 10**digits)) < 1e-6), 12)
