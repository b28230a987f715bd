"""The figures mean what they say: perfect, chance, and known confusions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.encoders.data import Work
from workers.encoders.evaluate import Embedded, area_under_roc, evaluate, grouped

scores = st.lists(st.integers(-5, 5), min_size=1, max_size=30)


@settings(deadline=None)
@given(positive=scores, negative=scores)
def test_the_area_is_the_share_of_pairs_won_ties_counting_half(positive: list[int], negative: list[int]) -> None:
    wins = [(p > n) + 0.5 * (p == n) for p in positive for n in negative]
    assert area_under_roc(np.array(positive, float), np.array(negative, float)) == pytest.approx(np.mean(wins))


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def embedded(works: list[Work], key: str, noise: float) -> Embedded:
    rng = np.random.default_rng(1)
    labels = np.unique([getattr(work, key) for work in works], return_inverse=True)[1]
    centres = rng.normal(size=(labels.max() + 1, 32))
    style = unit(centres[labels] + noise * rng.normal(size=(len(works), 32)))
    subjects = np.unique([work.subject for work in works], return_inverse=True)[1]
    subject = unit(rng.normal(size=(subjects.max() + 1, 32))[subjects])
    return Embedded(works, style, subject)


def test_vectors_that_know_styles_and_subjects_reach_one(works: list[Work]) -> None:
    found = evaluate(embedded(works, "style", 0.01), moved=None, left_out_family="ink", left_out_treatments=["outline"])
    assert set(found.figures) >= {"style", "subject", "style_left_out_family", "style_left_out_outline"}
    assert min(found.figures.values()) > 0.99
    assert len(found.styles) == 6


def test_vectors_that_know_the_family_alone_are_at_chance_within_it(works: list[Work]) -> None:
    found = evaluate(embedded(works, "family", 0.2), moved=None, left_out_family="ink", left_out_treatments=[])
    assert found.figures["style_by_family_alone"] > 0.99
    assert found.figures["style_by_treatment_alone"] == pytest.approx(0.5, abs=0.03)
    names, areas = grouped(found.styles, found.confusion, works, "family")
    assert names == ("red", "green", "ink")
    assert np.nanmin(areas) > 0.99
    treatments, areas = grouped(found.styles, found.confusion, works, "treatment")
    assert treatments == ("none", "outline")
    assert areas[0, 1] == pytest.approx(0.5, abs=0.05)


def test_moved_renders_are_matched_by_subject(works: list[Work]) -> None:
    drawn = embedded(works, "style", 0.1)
    renders = [position for position, work in enumerate(works) if work.family == "red" and work.treatment == "none"]
    moved = Embedded([works[p] for p in renders], drawn.style[renders], drawn.subject[renders])
    found = evaluate(drawn, moved=moved, left_out_family="ink", left_out_treatments=[])
    assert found.figures["subject_moved"] > 0.99
