"""A layout move really moves the subject, keeps it in the picture, and can be repeated from its record."""

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.experts.layout_move import LayoutMove, apply_move, bounding_box, draw_move, overlap, warp

WHITE = 255


def subject(shape: str = "ell", size: int = 128) -> tuple[np.ndarray, np.ndarray]:
    mask = np.zeros((size, size), np.uint8)
    if shape == "ell":
        mask[20:100, 30:50] = 255
        mask[80:100, 30:100] = 255
    else:
        cv2.circle(mask, (size // 2, size // 2), size // 3, 255, -1)
    pixels = np.full((size, size, 3), WHITE, np.uint8)
    pixels[mask > 0] = (200, 40, 40)
    return pixels, mask


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**63 - 1), st.sampled_from(["ell", "disc"]))
def test_the_subject_leaves_its_old_place_and_stays_in_the_picture(seed: int, shape: str) -> None:
    _, mask = subject(shape)
    move = draw_move(mask, seed=seed)
    moved = warp(mask, move.matrix(mask), fill=(0,))
    assert overlap(mask, moved) <= 0.5
    expected = np.count_nonzero(mask) * move.scale**2
    assert np.count_nonzero(moved > 127) == pytest.approx(expected, rel=0.12)


@given(st.integers(0, 2**63 - 1))
@settings(max_examples=20, deadline=None)
def test_equal_seeds_make_equal_moves_and_records_repeat_them(seed: int) -> None:
    pixels, mask = subject()
    backdrop = np.full_like(pixels, WHITE)
    move = draw_move(mask, seed=seed)
    again = LayoutMove.model_validate_json(move.model_dump_json())
    assert draw_move(mask, seed=seed) == move
    first = apply_move(pixels, mask, move, backdrop=backdrop)
    assert np.array_equal(first, apply_move(pixels, mask, again, backdrop=backdrop))


def test_a_move_that_says_nothing_changes_nothing() -> None:
    pixels, mask = subject()
    left, top, right, bottom = bounding_box(mask)
    still = LayoutMove(angle=0, mirrored=False, scale=1, x=(left + right) / 2 / 128, y=(top + bottom) / 2 / 128)
    moved = apply_move(pixels, mask, still, backdrop=np.full_like(pixels, WHITE))
    assert np.abs(moved.astype(int) - pixels).max() <= 1


def test_the_old_place_shows_the_backdrop() -> None:
    pixels, mask = subject()
    move = LayoutMove(angle=0, mirrored=False, scale=0.5, x=0.8, y=0.2)
    moved = apply_move(pixels, mask, move, backdrop=np.full_like(pixels, WHITE))
    assert (moved[90, 35] == WHITE).all()


def test_an_empty_mask_counts_as_the_whole_picture() -> None:
    assert bounding_box(np.zeros((10, 20), np.uint8)) == (0, 0, 20, 10)
    assert overlap(np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8)) == 1.0
