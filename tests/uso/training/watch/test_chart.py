"""Charts are valid SVG that tells the truth, for any values."""

from __future__ import annotations

from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uso.training.watch.axes import compact, value_axis
from uso.training.watch.chart import Form, Line, line_chart
from uso.training.watch.curves import smoothed, thinned
from uso.training.watch.metrics import Curve

SVG = "{http://www.w3.org/2000/svg}"
finite = st.floats(-1e99, 1e99)


def curve(values: list[float]) -> Curve:
    return Curve(np.arange(len(values), dtype=float) * 10, np.array(values, dtype=float))


def parse(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.lists(finite, max_size=40), max_size=3), st.booleans(), st.booleans())
def test_any_values_give_well_formed_svg_without_nan(lists: list[list[float]], percent: bool, zero: bool) -> None:
    lines = [Line(f"<{index}&>", "c0", "points", curve(values)) for index, values in enumerate(lists)]
    svg = line_chart(lines, Form(percent=percent, from_zero=zero), last_step=390, marks=[100])
    parse(svg)
    assert "nan" not in svg
    assert "inf" not in svg


@settings(deadline=None)
@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60))
def test_short_curves_lie_between_the_axis_ends_and_ticks_too(values: list[float]) -> None:
    axis = value_axis([np.array(values)])
    assert all(-1e-9 <= place <= 1 + 1e-9 for place in axis.place(np.array(values)))
    assert all(axis.low <= tick <= axis.high or tick == pytest.approx(axis.low) for tick in axis.ticks)
    labels = [axis.label(tick) for tick in axis.ticks]
    assert len(set(labels)) == len(labels)


def test_a_wide_range_of_positive_values_is_drawn_over_a_logarithmic_axis() -> None:
    assert value_axis([np.array([1e-4, 1.0])]).log
    assert not value_axis([np.array([0.2, 0.9])]).log
    assert not value_axis([np.array([0.0, 1e4])]).log


def test_one_stall_does_not_flatten_a_long_curve() -> None:
    values = np.full(1000, 0.01)
    values[500] = 0.9
    assert value_axis([values], from_zero=True).high < 0.02


def test_pointing_at_a_step_tells_its_values() -> None:
    svg = line_chart([Line("loss & more", "c0", "points", curve([0.5, 0.25]))], Form(), last_step=10)
    titles = [node.text for node in parse(svg).iter("title")]
    assert "step 0\nloss & more: 0.5000" in titles
    assert "step 10\nloss & more: 0.2500" in titles


def test_a_single_point_is_marked() -> None:
    svg = line_chart([Line("loss", "c0", "mean", curve([0.5]))], Form(), last_step=0)
    assert len(list(parse(svg).iter("circle"))) == 1


@settings(deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=3000), st.integers(10, 300))
def test_a_thinned_curve_keeps_ends_and_extremes(values: list[float], most: int) -> None:
    whole, thin = curve(values), thinned(curve(values), most)
    assert len(thin.values) <= most + 2
    assert (thin.values.min(), thin.values.max()) == (whole.values.min(), whole.values.max())
    assert (thin.steps[0], thin.steps[-1]) == (whole.steps[0], whole.steps[-1])


def test_a_running_mean_neither_lags_nor_leaves_the_first_value() -> None:
    line = curve([100.0 - step for step in range(100)])
    mean, span = smoothed(line)
    assert mean.values[0] == 100.0
    assert mean.values[:90] == pytest.approx(line.values[:90])
    assert span == 50


@pytest.mark.parametrize(
    ("value", "told"),
    [
        (0, "0"),
        (8e-5, "8e-5"),
        (1.25e-4, "1.25e-4"),
        (0.031, "0.031"),
        (3400, "3,400"),
        (25e3, "25k"),
        (1.67e6, "1.67M"),
    ],
)
def test_numbers_are_told_in_few_characters(value: float, told: str) -> None:
    assert compact(value) == told
