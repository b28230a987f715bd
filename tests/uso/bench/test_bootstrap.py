"""Intervals: as wide as shared subjects and styles make them, the same every time, None where nothing can be said."""

from __future__ import annotations

import numpy as np
import pytest

from uso.bench.bootstrap import Bootstrap, Interval

SUBJECTS = [f"subject {number}" for number in range(12) for _ in range(8)]
STYLES = [f"style {number}" for _ in range(12) for number in range(8)]


def drawn(rng: np.random.Generator, *, subject: float, style: float, rest: float) -> np.ndarray:
    """Return values of every subject in every style, with deviations of subjects, styles and pictures."""
    by_subject, by_style = rng.normal(0, subject, (12, 1)), rng.normal(0, style, (1, 8))
    return np.asarray((0.5 + by_subject + by_style + rng.normal(0, rest, (12, 8))).ravel())


def test_intervals_cover_the_truth_where_subjects_and_styles_differ() -> None:
    """Resampling pictures alone covers it half of the time here: 95 % are asked for."""
    rng = np.random.default_rng(0)
    bootstrap = Bootstrap(SUBJECTS, STYLES, resamples=400)
    pictures = Bootstrap([str(number) for number in range(96)], [None] * 96, resamples=400)
    hits = {"clusters": 0, "pictures": 0}
    for _ in range(150):
        values = drawn(rng, subject=0.1, style=0.1, rest=0.1)
        for name, method in (("clusters", bootstrap), ("pictures", pictures)):
            found = method.mean(values)
            assert found is not None
            assert found.low is not None
            assert found.high is not None
            hits[name] += found.low <= 0.5 <= found.high
    assert hits["clusters"] / 150 > 0.88
    assert hits["pictures"] / 150 < 0.75


def test_the_same_values_give_the_same_interval() -> None:
    values = drawn(np.random.default_rng(1), subject=0.1, style=0.2, rest=0.1)
    first, again = (Bootstrap(SUBJECTS, STYLES).mean(values) for _ in range(2))
    assert first == again
    assert first is not None
    assert first.mean == pytest.approx(values.mean())


def test_paired_differences_are_sharper_than_the_figures() -> None:
    values = drawn(np.random.default_rng(2), subject=0.2, style=0.2, rest=0.01)
    better = values + 0.02
    bootstrap = Bootstrap(SUBJECTS, STYLES)
    a, b, apart = bootstrap.mean(values), bootstrap.mean(better), bootstrap.difference(better, values)
    assert a is not None
    assert b is not None
    assert apart is not None
    assert not b.above(a)
    assert apart.low == pytest.approx(0.02)


def test_samples_without_an_answer_do_not_count() -> None:
    values = drawn(np.random.default_rng(3), subject=0.1, style=0.1, rest=0.1)
    values[::2] = np.nan
    found = Bootstrap(SUBJECTS, STYLES).mean(values)
    assert found is not None
    assert found.samples == 48
    assert found.mean == pytest.approx(values[1::2].mean())
    assert Bootstrap(SUBJECTS, STYLES).mean(np.full(96, np.nan)) is None


def test_one_subject_in_one_style_has_no_interval() -> None:
    found = Bootstrap(["cat"] * 3, ["ink"] * 3).mean(np.array([0.1, 0.2, 0.3]))
    assert found == Interval(pytest.approx(0.2), None, None, 3)
    assert not found.above(Interval(0.0, 0.0, 0.0, 3))


def test_what_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="2 subjects, but 1 styles"):
        Bootstrap(["a", "b"], [None])
    with pytest.raises(ValueError, match="between 0 and 1"):
        Bootstrap(["a"], [None], level=1.0)
