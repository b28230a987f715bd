"""Calibration finds thresholds that hold on fresh candidates, drops those that do not pay, and says when it cannot."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import precision_recall_curve, roc_auc_score

from curation.policy.calibrate import (
    Bound,
    CalibrationError,
    Labelled,
    Quality,
    auc,
    best_cut,
    evaluate,
    learn_policy,
)
from manifests.records import EMBEDDED


def candidates(seed: int, count: int = 3000) -> Labelled:
    """Return candidates of which a third is bad: by style, by leak, or by a shift that did not happen."""
    rng = np.random.default_rng(seed)
    fault = rng.choice(["none", "style", "leak", "shift"], count, p=[0.67, 0.11, 0.11, 0.11])
    layout = np.where(fault == "shift", "shifted", rng.choice(["preserved", "shifted"], count))
    values = {column: rng.normal(0, 1, count) for column in EMBEDDED}
    values["style_similarity"] = rng.normal(0.8, 0.08, count) - 0.5 * (fault == "style")
    values["style_leak"] = rng.normal(0.1, 0.1, count) + 0.6 * (fault == "leak")
    moved = (layout == "shifted") & (fault != "shift")
    values["layout_distance"] = np.where(moved, rng.normal(0.8, 0.08, count), rng.normal(0.2, 0.08, count))
    return Labelled(values, list(layout), fault == "none")


@pytest.mark.parametrize("precision", [0.9, 0.95, 0.98])
def test_the_policy_keeps_its_precision_on_fresh_candidates(precision: float) -> None:
    policy = learn_policy(candidates(0), precision=precision)
    quality, kept = evaluate(policy, candidates(1))
    assert quality.precision >= precision
    assert quality.recall > 0.9
    assert quality.kept_good + quality.kept_bad == kept.sum()


def test_thresholds_that_catch_nothing_are_left_out() -> None:
    columns = {rule.column for rule in learn_policy(candidates(0), precision=0.95).rules}
    assert {"style_similarity", "style_leak", "layout_distance"} <= columns
    assert "palette_leak" not in columns


def test_a_score_that_knows_nothing_cannot_keep_a_precision() -> None:
    with pytest.raises(CalibrationError, match="no policy keeps"):
        learn_policy(candidates(0), precision=0.99, bounds=[Bound("palette_leak", "high")])


def test_too_few_labels_are_said_so() -> None:
    few = candidates(0, 20)
    with pytest.raises(CalibrationError, match="at least 20"):
        learn_policy(few, precision=0.9)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=60))
def test_auc_is_that_of_scikit_learn(pairs: list[tuple[int, bool]]) -> None:
    values, good = np.array([p[0] for p in pairs], dtype=float), np.array([p[1] for p in pairs])
    if good.all() or not good.any():
        assert np.isnan(auc(values, good))
    else:
        assert auc(values, good) == pytest.approx(roc_auc_score(good, values))
        assert auc(values, good, bad="high") == pytest.approx(1 - roc_auc_score(good, values))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(-5, 5), st.booleans()), min_size=2, max_size=60))
def test_a_score_alone_is_cut_where_scikit_learn_finds_the_best_f1(pairs: list[tuple[int, bool]]) -> None:
    values, good = np.array([p[0] for p in pairs], dtype=float), np.array([p[1] for p in pairs])
    if good.all() or not good.any():
        assert best_cut(values, good) is None
        return
    for bad, turned in (("low", values), ("high", -values)):
        precision, recall, _ = precision_recall_curve(good, turned)
        best = (2 * precision * recall / np.maximum(precision + recall, 1e-12)).max()
        cut = best_cut(values, good, bad=bad)  # type: ignore[arg-type]
        assert cut is not None
        assert 2 * cut.precision * cut.recall / (cut.precision + cut.recall) == pytest.approx(best)
        kept = values >= cut.threshold if bad == "low" else values <= cut.threshold
        assert (cut.precision, cut.recall) == pytest.approx((good[kept].mean(), kept[good].mean()))


def test_a_score_that_some_candidates_have_not_serves_on_those_that_have_it() -> None:
    data = candidates(0)
    unsafe = np.random.default_rng(9).random(len(data)) < 0.2
    nsfw = np.where(unsafe, 0.9, 0.1)
    nsfw[::2] = np.nan
    known = Labelled({**data.scores, "nsfw": nsfw}, data.layout, data.good & ~(unsafe & ~np.isnan(nsfw)))
    policy = learn_policy(known, precision=0.95)
    (rule,) = [rule for rule in policy.rules if rule.column == "nsfw"]
    assert rule.max is not None
    assert 0.1 <= rule.max < 0.9
    quality, kept = evaluate(policy, known)
    assert quality.recall > 0.9
    assert kept[::2].sum() > 0.4 * len(data) / 2
    assert evaluate(policy, data)[0].recall > 0.9
    assert "nsfw" not in {bound.column for bound in data.bounds()}


def test_the_confidence_bound_lies_below_and_tightens() -> None:
    few, many = Quality(95, 5, 100, 100), Quality(9500, 500, 10000, 10000)
    assert few.precision_bound < many.precision_bound < few.precision == many.precision
