"""What encoders are fitted on keeps clear of what they are measured on, and is painted alike every time."""

from __future__ import annotations

import numpy as np
import pytest

from curation.encoders.fitting import treatments_of, works_seen
from curation.encoders.works import (
    AtelierPainter,
    moved_renders,
    subjects_first,
    works_to_measure,
)
from curation.sources.iconify import IconifySource
from manifests.images import CALIBRATION_FOLD, HELDOUT_FOLD, fold_of
from workers.encoders.recipe import Recipe

pytestmark = pytest.mark.usefixtures("atelier")


def test_no_subject_family_or_treatment_that_is_kept_unseen_is_fitted_on() -> None:
    recipe = Recipe()
    works = works_seen(recipe)
    assert len({work.subject for work in works}) > 1000
    assert {fold_of(work.subject) for work in works}.isdisjoint({HELDOUT_FOLD, CALIBRATION_FOLD})
    assert recipe.left_out_family not in {work.family for work in works}
    assert set(recipe.left_out_treatments).isdisjoint({work.treatment for work in works})
    assert len(set(works)) == len(works)


def test_measuring_shows_held_out_subjects_in_every_style_once(atelier: IconifySource) -> None:
    names = treatments_of(Recipe())
    works = works_to_measure(names, folds=(HELDOUT_FOLD,))
    assert {fold_of(work.subject) for work in works} == {HELDOUT_FOLD}
    assert len({(work.subject, work.style) for work in works}) == len(works)
    targets = {work.family for work in works if work.treatment != "none"}
    assert atelier.realistic_family not in targets
    assert {work.treatment for work in works if work.family in targets} == set(names)


def test_a_work_is_painted_alike_every_time_and_moves_change_the_layout() -> None:
    painter = AtelierPainter((64,))
    drawn = next(work for work in works_to_measure(["hatching"], folds=(HELDOUT_FOLD,)))
    assert np.array_equal(painter(drawn), painter(drawn))
    moved = moved_renders(folds=(HELDOUT_FOLD,))[0]
    render = painter(moved.__class__(moved.subject, moved.family, "none", moved.locator))
    assert painter(moved).shape == render.shape == (64, 64, 3)
    assert np.abs(painter(moved).astype(int) - render).mean() > 5


def test_some_subjects_are_taken_with_all_their_works() -> None:
    works = works_to_measure(["none"], folds=(HELDOUT_FOLD,))
    few = subjects_first(works, 7)
    names = {work.subject for work in few}
    assert len(names) == 7
    assert few == [work for work in works if work.subject in names]
    assert subjects_first(works, 10_000) == works


def test_what_does_not_exist_cannot_be_left_out() -> None:
    with pytest.raises(ValueError, match="cannot leave out the treatment 'glitter'; there are pencil"):
        works_seen(Recipe(left_out_treatments=("glitter",)))
    with pytest.raises(ValueError, match="cannot leave out the family 'manga'; there are color"):
        works_seen(Recipe(left_out_family="manga"))
