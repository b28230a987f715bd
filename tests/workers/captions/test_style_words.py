"""Captions without words of style: what is shown stays, how it is shown goes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.captions.style_words import names_of, style_words, without_style

PLAIN = ["a red fox on a roof", "Two birds, one of them blue.", "a woman painting a wall", "a pot of oil"]


@pytest.mark.parametrize(
    ("caption", "kept"),
    [
        ("A watercolor painting of a fox, in the style of Hokusai", "a fox"),
        ("a cartoon cat in anime style wearing a hat", "a cat wearing a hat"),
        ("An oil painting of a lighthouse by the sea", "a lighthouse by the sea"),
        ("A dog drawn in ink", "A dog"),
        ("A cat, digital art, pixel art", "A cat"),
        ("the drawing shows a horse in a field", "a horse in a field"),
        ("a stylized 3D render of a robot", "a robot"),
        ("a noto cat in duotone", "a cat"),
        ("pencil sketch", ""),
        *((caption, caption) for caption in PLAIN),
    ],
)
def test_the_medium_goes_and_the_scene_stays(caption: str, kept: str) -> None:
    assert without_style(caption, names_of("noto+duotone")) == kept


@settings(deadline=None)
@given(st.lists(st.sampled_from([*PLAIN, *list(style_words())[::7], "in the style of", "a", "of", ","]), max_size=8))
def test_no_word_is_made_up(parts: list[str]) -> None:
    once = without_style(" ".join(parts))
    assert len(without_style(once)) <= len(once)
    assert set(once.replace(",", " ").replace(".", " ").split()) <= set(
        " ".join(parts).replace(",", " ").replace(".", " ").split()
    )


def test_a_style_goes_by_its_whole_names_always_and_by_their_parts_where_the_phrase_says_so() -> None:
    assert names_of("fluent-emoji-flat+none")["fluent-emoji-flat"]
    assert not names_of("fluent-emoji-flat")["flat"]
    assert without_style("a flat tyre", names_of("fluent-emoji-flat")) == "a flat tyre"
