"""Subjects are found on plain backgrounds and in photographs, and the hole is painted shut."""

import cv2
import numpy as np
import pytest
from skimage import data

from workers.experts.cutout import backdrop_without, subject_mask
from workers.experts.layout_move import overlap


@pytest.mark.parametrize("background", [255, 128, 0])
def test_a_subject_on_a_plain_background_is_found(background: int) -> None:
    truth = np.zeros((128, 128), np.uint8)
    cv2.circle(truth, (70, 60), 30, 255, -1)
    pixels = np.full((128, 128, 3), background, np.uint8)
    pixels[truth > 0] = (30, 160, 90)
    mask = subject_mask(pixels)
    assert overlap(mask, truth) > 0.95
    assert (backdrop_without(pixels, mask) == background).all()


def test_a_ring_is_filled() -> None:
    pixels = np.full((128, 128, 3), 255, np.uint8)
    cv2.circle(pixels, (64, 64), 40, (0, 0, 0), 4)
    assert subject_mask(pixels)[64, 64] == 255


@pytest.mark.parametrize("photo", ["astronaut", "coffee", "chelsea", "rocket"])
def test_photographs_give_a_subject_of_sensible_size_and_a_smooth_backdrop(photo: str) -> None:
    pixels = cv2.resize(getattr(data, photo)(), (240, 200), interpolation=cv2.INTER_AREA)
    mask = subject_mask(pixels)
    assert 0.01 < (mask > 127).mean() < 0.97
    assert np.array_equal(mask, subject_mask(pixels))
    backdrop = backdrop_without(pixels, mask)
    assert backdrop.shape == pixels.shape
    assert not np.array_equal(backdrop, pixels)


def test_a_blank_picture_still_gives_a_subject() -> None:
    assert (subject_mask(np.full((64, 64, 3), 200, np.uint8)) > 127).any()
