"""What a checkpoint draws for the bench: guidance and style images reach the picture, by whichever way they go in."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from tests.uso.bench.making import images
from tests.uso.training.conftest import tiny_file
from tests.uso.training.stores import make_store
from uso.bench.artist import CheckpointArtist, Order
from uso.bench.parse_system import parse_system
from uso.bench.settings import DrawSettings
from uso.bench.system import Checkpoint
from uso.training.distributed import World
from uso.training.load_recipe import load_recipe
from uso.training.run import train

SETTINGS = DrawSettings(side=32, content_side=32, steps=2, guidance=1.0)


@pytest.fixture
def one_encoder(pipeline: Path, tmp_path: Path) -> Checkpoint:
    """Return what a run came to that had the style image as a second reference in the content's place."""
    store = make_store(tmp_path / "store", 12)
    slots = "data.slots={target: target, content: content, second: style, style: null}"
    recipe = load_recipe(tiny_file(tmp_path, pipeline), [slots, "model.projector=null"], [str(store.root)])
    train(recipe, tmp_path / "run", World())
    checkpoint = parse_system(f"one={tmp_path / 'run'}").checkpoint
    assert checkpoint is not None
    return checkpoint


def drawn(checkpoint: Checkpoint, settings: DrawSettings, folder: Path, style: str) -> np.ndarray:
    order = Order("", folder / "cat.png", (folder / f"{style}.png",), None, (32, 32), 0)
    return np.asarray(CheckpointArtist(checkpoint, settings).draw([order])[0])


def test_a_run_with_one_encoder_for_both_references_is_drawn_as_it_was_trained(
    one_encoder: Checkpoint, tmp_path: Path
) -> None:
    assert one_encoder.styles_as_contents
    folder = images(tmp_path / "images", "cat ink chalk")
    ink, chalk = (drawn(one_encoder, SETTINGS, folder, style) for style in ("ink", "chalk"))
    assert not np.array_equal(ink, chalk)
    blind = replace(one_encoder, styles_as_contents=False)
    ink, chalk = (drawn(blind, SETTINGS, folder, style) for style in ("ink", "chalk"))
    assert np.array_equal(ink, chalk)


def test_guidance_against_nothing_changes_the_picture(one_encoder: Checkpoint, tmp_path: Path) -> None:
    folder = images(tmp_path / "images", "cat ink")
    plain, led = (drawn(one_encoder, replace(SETTINGS, cfg_scale=scale), folder, "ink") for scale in (1.0, 3.0))
    assert not np.array_equal(plain, led)
