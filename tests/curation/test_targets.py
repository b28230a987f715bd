"""Targets are dealt out evenly over subjects and styles, and never come from the photorealistic side."""

from __future__ import annotations

from collections import Counter

import pytest

from curation.gallery import Gallery, split_style, style_name
from curation.ingest.limits import Limits
from curation.sources.iconify import IconifySource
from curation.spec.model import TargetSpec
from curation.targets import choose_targets
from manifests.images import HELDOUT_FOLD, fold_of
from workers.treatments.registry import DEFAULT_TREATMENTS, treatment


@pytest.fixture(scope="module")
def gallery(atelier: IconifySource) -> Gallery:
    painters = {"none": None, **{name: treatment(name) for name in DEFAULT_TREATMENTS}}
    return Gallery([atelier], painters, size=64, limits=Limits())


def test_every_subject_is_taken_and_every_style_used_alike(gallery: Gallery) -> None:
    targets = choose_targets(gallery, TargetSpec(per_subject=2))
    subjects, styles = Counter(t.subject for t in targets), Counter(t.style for t in targets)
    assert set(subjects.values()) == {2}
    assert len(subjects) > 1500
    assert len(styles) == 5 * 11
    assert max(styles.values()) - min(styles.values()) < 0.25 * max(styles.values())
    assert len({(t.subject, t.style) for t in targets}) == len(targets)
    assert not any(style.startswith("fluent-3d") for style in styles)


def test_the_first_targets_are_of_different_subjects_and_always_the_same(gallery: Gallery) -> None:
    targets = choose_targets(gallery, TargetSpec(per_subject=2))
    assert len({t.subject for t in targets[:200]}) == 200
    assert targets == choose_targets(gallery, TargetSpec(per_subject=2))


def test_filters_keep_what_they_name(gallery: Gallery) -> None:
    folded = choose_targets(gallery, TargetSpec(per_subject=1, folds=(HELDOUT_FOLD,)))
    assert {fold_of(t.subject) for t in folded} == {HELDOUT_FOLD}
    styled = choose_targets(gallery, TargetSpec(styles=("openmoji+oil",), subjects=("red-apple", "octopus")))
    assert [(t.subject, t.style) for t in styled] == [("octopus", "openmoji+oil"), ("red-apple", "openmoji+oil")]


def test_held_out_subjects_never_serve_training_ones(gallery: Gallery) -> None:
    for ref in list(gallery.styled("color+oil", "train"))[:300]:
        assert ref.split == "train"
    assert all(fold_of(name) == HELDOUT_FOLD for name in gallery.realistic_subjects("heldout"))


def test_a_loaded_picture_is_painted_and_keeps_its_mask(gallery: Gallery) -> None:
    plain, painted = (gallery.load(gallery.of_subject("octopus", style)[0]) for style in ("color", "color+mosaic"))
    assert plain.pixels.shape == painted.pixels.shape == (64, 64, 3)
    assert plain.mask is not None
    assert painted.mask is not None
    assert (plain.pixels != painted.pixels).any()


@pytest.mark.parametrize(("family", "treatment_name"), [("color", "oil"), ("fluent-3d", "none"), ("a+b", "oil")])
def test_style_names_split_again(family: str, treatment_name: str) -> None:
    assert split_style(style_name(family, treatment_name)) == (family, treatment_name)
