"""The weights that ship do what the product promises, on subjects and styles that they have not seen."""

from __future__ import annotations

import hashlib
import json

import pytest

from curation.encoders.fitting import treatments_of
from curation.encoders.report import held_out, measure
from curation.sources.iconify import IconifySource
from uso.nano.weights import SHIPPED
from workers.encoders.evaluate import Evaluation
from workers.encoders.load import NanoEncoder
from workers.encoders.recipe import Recipe

SUBJECTS = 30


@pytest.fixture(scope="module")
def found(atelier: IconifySource) -> Evaluation:
    assert atelier.refs()
    recipe = Recipe()
    images = held_out(treatments_of(recipe), subjects=SUBJECTS, processes=1, progress=lambda *_: None)
    return measure(NanoEncoder(), images, recipe)


def test_a_subject_is_recognised_across_styles(found: Evaluation) -> None:
    """All held-out subjects give 0.961, short of the aim of 0.97 (docs/encoders.md): this guards what is reached."""
    assert found.figures["subject"] >= 0.95
    assert found.figures["subject_fitted"] >= 0.96
    assert found.figures["subject_left_out_family"] >= 0.93


def test_a_subject_is_recognised_in_a_render_that_was_moved(found: Evaluation) -> None:
    assert found.figures["subject_moved"] >= 0.93


def test_styles_are_told_apart(found: Evaluation) -> None:
    assert found.figures["style"] >= 0.93


def test_styles_that_were_never_fitted_are_told_apart(found: Evaluation) -> None:
    assert found.figures["style_left_out_family"] >= 0.93
    for name in Recipe().left_out_treatments:
        assert found.figures[f"style_left_out_{name}"] >= 0.93


def test_recipe_and_digest_beside_the_weights_are_theirs() -> None:
    known = json.loads(SHIPPED.with_suffix(".json").read_text())
    assert known["sha256"] == hashlib.sha256(SHIPPED.read_bytes()).hexdigest() == NanoEncoder().digest
    assert Recipe(**known["recipe"]) == Recipe()
    assert SHIPPED.stat().st_size < 8_000_000
