"""What the retrieval experts promise of every image that they take, and of every fault that they are told to commit."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from manifests.records import Layout
from tests.workers.experts.shapes import SUBJECTS, Shapes
from workers.experts.base import ExpertFailure, ExpertImage, ExpertRequest
from workers.experts.faults import Fault, applies
from workers.experts.layout_move import overlap
from workers.experts.retrieval_destylizer import RetrievalDestylizer, register
from workers.experts.retrieval_stylizer import RetrievalStylizer


def request(gallery: Shapes, layout: Layout, seed: int, fault: str | None = None, style: str = "ink") -> ExpertRequest:
    ref = gallery.styled(style, "train")[seed % 20]
    return ExpertRequest("c", gallery.load(ref).pixels, ref, layout, "", seed, fault)


@pytest.mark.parametrize("seed", range(30))
def test_a_style_reference_is_another_subject_of_the_same_style_and_split(seed: int) -> None:
    gallery = Shapes()
    asked = request(gallery, "shifted", seed)
    (made,) = RetrievalStylizer(gallery).generate([asked])
    assert isinstance(made, ExpertImage)
    assert made.ref.style == "ink"
    assert made.ref.subject != asked.target_ref.subject
    assert made.ref.split == asked.target_ref.split


def test_answers_do_not_depend_on_the_batch() -> None:
    gallery = Shapes()
    requests = [request(gallery, "shifted", seed) for seed in range(8)]
    for expert in (RetrievalStylizer(gallery), RetrievalDestylizer(gallery)):
        together = expert.generate(requests)
        for one, made in zip(requests, together, strict=True):
            (alone,) = expert.generate([one])
            assert isinstance(made, ExpertImage)
            assert isinstance(alone, ExpertImage)
            assert np.array_equal(made.pixels, alone.pixels)


def test_pictures_that_cannot_be_read_are_passed_over() -> None:
    gallery = Shapes(frozenset(f"ink/{s}" for s in SUBJECTS[::2]))
    made = RetrievalStylizer(gallery).generate([request(Shapes(), "shifted", seed) for seed in range(10)])
    assert all(isinstance(one, ExpertImage) for one in made)


def test_a_style_with_nothing_to_read_fails_with_the_cause() -> None:
    gallery = Shapes(frozenset(f"ink/{s}" for s in SUBJECTS))
    (made,) = RetrievalStylizer(gallery).generate([request(Shapes(), "shifted", 0)])
    assert isinstance(made, ExpertFailure)
    assert made.reason == "no_style_reference"
    assert "truncated" in made.detail


@pytest.mark.parametrize("seed", range(12))
def test_shifted_content_is_the_same_subject_really_moved(seed: int) -> None:
    gallery = Shapes()
    asked = request(gallery, "shifted", seed)
    (made,) = RetrievalDestylizer(gallery).generate([asked])
    assert isinstance(made, ExpertImage)
    assert made.ref.subject == asked.target_ref.subject
    assert made.ref.family == "real"
    assert made.transform is not None
    assert made.transform["kind"] == "moved"
    there = (made.pixels < 250).any(axis=2).astype(np.uint8) * 255
    assert overlap(there, gallery.load(asked.target_ref).mask) < 0.5  # type: ignore[arg-type]


@pytest.mark.parametrize("seed", range(12))
def test_preserved_content_stays_where_the_target_is(seed: int) -> None:
    gallery = Shapes()
    (made,) = RetrievalDestylizer(gallery).generate([request(gallery, "preserved", seed)])
    assert isinstance(made, ExpertImage)
    there = (made.pixels < 250).any(axis=2).astype(np.uint8) * 255
    assert overlap(there, gallery.load(made.ref).mask) > 0.9  # type: ignore[arg-type]


def test_registration_undoes_a_mirrored_and_shrunken_counterpart() -> None:
    picture = Shapes().load(Shapes().realistic(SUBJECTS[3])[0])
    assert picture.mask is not None
    small = cv2.warpAffine(picture.mask[:, ::-1].copy(), np.float64([[0.7, 0, 5], [0, 0.7, 30]]), (128, 128))
    pixels, mask, transform = register(picture.pixels, picture.mask, small)
    assert transform["mirrored"]
    assert overlap(mask, small) > 0.9
    assert pixels.shape == picture.pixels.shape


def test_registration_takes_outlines_as_silhouettes_and_pictures_of_another_shape() -> None:
    picture = Shapes().load(Shapes().realistic(SUBJECTS[3])[0])
    assert picture.mask is not None
    inner = cv2.erode(picture.mask, np.ones((5, 5), np.uint8))
    outline = picture.mask - inner
    narrow = np.ascontiguousarray(picture.mask[:, 2:-6])
    pixels, mask, _ = register(np.ascontiguousarray(picture.pixels[:, 2:-6]), narrow, outline)
    assert pixels.shape == picture.pixels.shape
    assert overlap(mask, picture.mask) > 0.9


@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("layout", ["preserved", "shifted"])
def test_each_fault_is_committed_as_named(fault: Fault, layout: Layout) -> None:
    if not applies(fault, layout):
        return
    gallery = Shapes()
    for seed in range(6):
        asked = request(gallery, layout, seed, fault)
        (style,) = RetrievalStylizer(gallery).generate([asked])
        (content,) = RetrievalDestylizer(gallery).generate([asked])
        assert isinstance(style, ExpertImage)
        assert isinstance(content, ExpertImage)
        assert (style.ref.style != "ink") == (fault == Fault.WRONG_STYLE)
        assert (style.ref.subject == asked.target_ref.subject) == (fault == Fault.STYLE_SHOWS_SUBJECT)
        assert (content.ref.subject != asked.target_ref.subject) == (fault == Fault.WRONG_SUBJECT)
        painted = fault in (Fault.CONTENT_STYLIZED, Fault.PLAIN_COPY)
        assert (content.ref.family == "ink") == painted
        if fault in (Fault.SHIFT_MISSING, Fault.PRESERVED_MOVED):
            assert content.transform is not None
            assert content.transform["kind"] == ("registered" if layout == "shifted" else "moved")
