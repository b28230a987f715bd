"""Marks of synthetic media: readers of XMP find them, and no pixel changes."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from manifests.export.marks import UnmarkableError, marked, source_type


@settings(max_examples=40, deadline=None)
@given(
    width=st.integers(1, 40),
    height=st.integers(1, 40),
    alpha=st.booleans(),
    form=st.sampled_from([("WEBP", {"lossless": True}), ("WEBP", {"quality": 80}), ("PNG", {}), ("JPEG", {})]),
    seed=st.integers(0, 99),
)
def test_a_marked_image_says_so_and_shows_the_same(
    width: int, height: int, alpha: bool, form: tuple[str, dict[str, object]], seed: int
) -> None:
    channels = 4 if alpha and form[0] != "JPEG" else 3
    pixels = np.random.default_rng(seed).integers(0, 255, (height, width, channels), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form[0], **form[1])
    plain = buffer.getvalue()
    after = marked(plain, "trainedAlgorithmicMedia")
    with Image.open(io.BytesIO(plain)) as before, Image.open(io.BytesIO(after)) as image:
        image.load()
        assert np.array_equal(np.asarray(before), np.asarray(image))
        packet = image.info["xmp"]
    assert b"digitalsourcetype/trainedAlgorithmicMedia" in packet


def test_an_image_of_another_form_is_refused() -> None:
    with pytest.raises(UnmarkableError):
        marked(b"GIF89a", "trainedAlgorithmicMedia")


@pytest.mark.parametrize(
    ("source", "treatment", "kind"),
    [
        ("generated", "none", "trainedAlgorithmicMedia"),
        ("iconify", "duotone", "algorithmicallyEnhanced"),
        ("iconify", "none", None),
        ("iconify", None, None),
    ],
)
def test_what_was_drawn_or_painted_is_told_apart(source: str, treatment: str | None, kind: str | None) -> None:
    assert source_type(source, treatment) == kind
