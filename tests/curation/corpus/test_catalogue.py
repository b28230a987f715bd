"""Drawings of the same thing find each other, whatever the sets call them."""

from __future__ import annotations

import pytest

from curation.corpus.catalogue import Drawing, DrawingSet, catalogue, normal_code, read_set


def drawn(mark: str) -> Drawing:
    return Drawing(mark, 0, 0, 32, 32)


def sets() -> dict[str, DrawingSet]:
    return {
        "fluent-emoji-flat": DrawingSet(
            {"cat": drawn("flat"), "wave-dark": drawn("x")}, {}, {"1f408": "cat", "1f44b-1f3ff": "wave-dark"}
        ),
        "noto": DrawingSet({"kitty": drawn("noto")}, {"pussycat": "kitty"}, {"1f408": "kitty"}),
        "openmoji": DrawingSet(
            {"secret": drawn("x"), "dog": drawn("open")}, {}, {"E0C3": "secret", "1F415-FE0F": "dog"}
        ),
        "twemoji": DrawingSet({}, {}, {}),
        "fluent-emoji-high-contrast": DrawingSet({}, {}, {}),
        "emojione": DrawingSet(
            {"pussycat": drawn("one"), "unheard-of": drawn("x"), "hound": drawn("two")}, {"dog": "hound"}, {}
        ),
    }


def test_one_thing_has_one_name_in_all_sets() -> None:
    found = catalogue(sets(), ["1f408", "1f415", "1f1f8-1f1ea"])
    assert found.drawings["noto"] == {"cat": drawn("noto")}
    assert found.drawings["emojione"]["cat"] == drawn("one"), "matched through another set's further name"
    assert found.drawings["emojione"]["dog"] == drawn("two"), "matched through a further name of its own"
    assert len(found.drawings["emojione"]) == 2
    assert found.renders == {"cat": "1f408", "dog": "1f415"}


def test_a_further_name_never_displaces_a_drawing_of_that_name() -> None:
    content = DrawingSet({"cat": drawn("itself"), "tiger": drawn("other")}, {"kitty": "tiger"}, {})
    assert catalogue({**sets(), "emojione": content}, []).drawings["emojione"]["cat"] == drawn("itself")


def test_default_subjects_need_a_render_and_three_other_families() -> None:
    found = catalogue(sets(), ["1f408", "1f415"])
    families = {name: name for name in sets()}
    assert found.default_subjects(families) == ["cat"]
    assert found.default_subjects({**families, "noto": "color", "emojione": "color"}) == []


@pytest.mark.parametrize("code", ["1f44b-1f3ff", "1f1f8-1f1ea", "1F3F4-E0067-E0062-E007F", "E0C3", "fe0f"])
def test_variants_flags_and_private_signs_are_no_subjects(code: str) -> None:
    assert normal_code(code) is None


def test_code_points_compare_without_case_and_variation_selectors() -> None:
    assert normal_code("2716-FE0F") == normal_code("2716") == "2716"


def test_mirrored_aliases_are_drawn_mirrored_and_withdrawn_drawings_left_out() -> None:
    read = read_set(
        {
            "width": 32,
            "height": 32,
            "icons": {"left": {"body": "<path/>"}, "old": {"body": "<path/>", "hidden": True}},
            "aliases": {
                "right": {"parent": "left", "hFlip": True},
                "links": {"parent": "left"},
                "x": {"parent": "old"},
            },
        },
        None,
    )
    assert "scale(-1 1)" in read.drawings["right"].body
    assert set(read.drawings) == {"left", "right"}
    assert read.other_names == {"links": "left"}
