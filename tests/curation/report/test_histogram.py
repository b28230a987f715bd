"""Histograms are valid, safe SVG for any values."""

from __future__ import annotations

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from curation.report.histogram import Series, histogram

values = st.lists(st.floats(-1e3, 1e3), max_size=50)


@given(values, values, st.lists(st.floats(-1e3, 1e3), max_size=3))
def test_any_values_and_thresholds_give_well_formed_svg(good: list[float], bad: list[float], cuts: list[float]) -> None:
    svg = histogram([Series("good <&>", "good", good), Series("bad", "bad", bad)], cuts)
    if not good and not bad:
        assert svg == ""
        return
    tree = ElementTree.fromstring(svg)
    lines = [node for node in tree.iter("line") if node.get("class") == "threshold"]
    assert len(lines) == len(cuts)
    assert all(0 <= float(line.get("x1", "-1")) <= 300 for line in lines)
    assert tree.findtext("g/title") == f"good <&>: {len(good):,}"
