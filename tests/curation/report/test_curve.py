"""Curves stay within their picture, name their axes, and do not grow with the data."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.report.curve import curve

shares = st.lists(st.floats(0, 1), min_size=1, max_size=400)


@given(shares)
def test_every_point_lies_within_the_picture(values: list[float]) -> None:
    picture = ElementTree.fromstring(curve(values, values, across="recall", up="precision"))
    width, height = (float(side) for side in picture.attrib["viewBox"].split()[2:])
    line = picture.find("polyline")
    assert line is not None
    points = [tuple(map(float, point.split(","))) for point in line.attrib["points"].split()]
    assert len(points) <= 160
    assert all(0 <= x <= width and 0 <= y <= height for x, y in points)


def test_ends_are_kept_and_axes_named() -> None:
    along = np.linspace(0, 1, 1000).tolist()
    page = curve(along, along, across="a & b", up="recall", chance=True)
    points = re.search(r'points="([^"]*)"', page)
    assert points is not None
    first, *_, last = points[1].split()
    assert [float(part) for part in first.split(",")] == pytest.approx([30, 154])
    assert [float(part) for part in last.split(",")] == pytest.approx([180, 4])
    assert "a &amp; b" in page
    assert 'class="chance"' in page
