"""Curves of a score alone are those that scikit-learn draws."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_curve

from curation.policy.calibrate import auc
from curation.policy.curves import curves


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=60))
def test_are_those_of_scikit_learn(pairs: list[tuple[int, bool]]) -> None:
    values, good = np.array([p[0] for p in pairs], dtype=float), np.array([p[1] for p in pairs])
    if good.all() or not good.any():
        assert curves(values, good) is None
        return
    for found, turned in ((curves(values, good), values), (curves(values, good, bad="high"), -values)):
        assert found is not None
        false_alarms, recall, _ = roc_curve(good, turned, drop_intermediate=False)
        assert [0.0, *found.false_alarms] == pytest.approx(false_alarms.tolist())
        assert [0.0, *found.recall] == pytest.approx(recall.tolist())
        precision, recall, _ = precision_recall_curve(good, turned)
        assert found.precision.tolist() == pytest.approx(precision[:-1][::-1].tolist())
        assert found.average_precision == pytest.approx(average_precision_score(good, turned))


def test_a_score_that_knows_all_is_right_at_every_threshold() -> None:
    found = curves(np.array([1.0, 2.0, 3.0, 4.0]), np.array([False, False, True, True]))
    assert found is not None
    assert found.average_precision == 1.0
    assert found.thresholds.tolist() == [4.0, 3.0, 2.0, 1.0]


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=60), st.sampled_from(["low", "high"])
)
def test_the_area_under_the_roc_is_the_auc(pairs: list[tuple[int, bool]], bad: Any) -> None:
    values, good = np.array([p[0] for p in pairs], dtype=float), np.array([p[1] for p in pairs])
    found = curves(values, good, bad=bad)
    if found is not None:
        area = np.trapezoid([0.0, *found.recall], [0.0, *found.false_alarms])
        assert area == pytest.approx(auc(values, good, bad=bad))
