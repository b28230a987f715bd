"""The curve of a score: from none to all, never falling, and its area is the AUC."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.policy.calibrate import auc
from curation.report.roc import roc


@settings(deadline=None)
@given(
    pairs=st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=60).filter(
        lambda pairs: len({good for _, good in pairs}) == 2
    ),
    bad=st.sampled_from(["low", "high"]),
)
def test_its_area_is_the_auc(pairs: list[tuple[int, bool]], bad: Any) -> None:
    values = np.array([float(value) for value, _ in pairs])
    good = np.array([good for _, good in pairs])
    false, true = roc(values, good, bad=bad)
    assert (false[0], true[0], false[-1], true[-1]) == (0, 0, 1, 1)
    assert (np.diff(false) >= 0).all()
    assert (np.diff(true) >= 0).all()
    assert np.trapezoid(true, false) == pytest.approx(auc(values, good, bad=bad))
