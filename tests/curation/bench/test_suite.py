"""Measures: copies are caught, leaks have their sign, and what cannot be measured is absent and not made up."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from curation.bench.suite import Suite, SuiteSpec
from uso.bench.bench_set import BenchItem, BenchSet

SIDE = 64


def disc(
    colour: tuple[int, int, int], *, left: int = 12, ground: tuple[int, int, int] = (255, 255, 255)
) -> Image.Image:
    """Return a striped disc of 32 px on a plain ground."""
    pixels = np.full((SIDE, SIDE, 3), ground, np.uint8)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    inside = (rows - 28) ** 2 + (columns - left - 16) ** 2 < 16**2
    pixels[inside] = colour
    pixels[inside & (rows // 4 % 2 == 0)] = [channel // 2 for channel in colour]
    return Image.fromarray(pixels)


@pytest.fixture(scope="module")
def suite() -> Suite:
    return Suite(SuiteSpec())


@pytest.fixture
def bench(tmp_path: Path) -> BenchSet:
    disc((40, 60, 200)).save(tmp_path / "content.png")
    disc((220, 60, 20), left=20, ground=(250, 220, 120)).save(tmp_path / "style.png")
    disc((90, 60, 180)).save(tmp_path / "truth.png")
    joint = BenchItem("", "content.png", ("style.png",), "disc", "warm", ("content.png",), "truth.png")
    return BenchSet(tmp_path, "discs", (joint,))


def scores_of(suite: Suite, bench: BenchSet, picture: Image.Image, **changes: object) -> dict[str, float]:
    picture.save(bench.folder / "picture.png")
    return suite.score(bench, [replace(bench.items[0], **changes)], [bench.folder / "picture.png"])[0]  # type: ignore[arg-type]


def test_copies_are_caught(suite: Suite, bench: BenchSet) -> None:
    content = scores_of(suite, bench, disc((40, 60, 200)))
    assert content["copy_paste"] == 1
    assert content["style_copy"] == 0
    assert content["nano_subject"] == pytest.approx(1, abs=1e-3)
    style = scores_of(suite, bench, disc((220, 60, 20), left=20, ground=(250, 220, 120)))
    assert style["style_copy"] == 1
    assert style["style_leak"] == pytest.approx(1, abs=1e-3)


def test_the_palette_leaks_where_it_comes_nearer_to_the_style_than_the_truth_does(
    suite: Suite, bench: BenchSet
) -> None:
    right = scores_of(suite, bench, disc((90, 60, 180)))
    leaking = scores_of(suite, bench, disc((220, 60, 20), ground=(250, 220, 120)))
    cold = scores_of(suite, bench, disc((40, 60, 200)))
    assert right["palette_leak"] == 0
    assert leaking["palette_leak"] > 5 > 0 > cold["palette_leak"]
    assert scores_of(suite, bench, disc((40, 60, 200)), truth=None)["palette_leak"] == 0


def test_a_moved_subject_has_a_layout_shift(suite: Suite, bench: BenchSet) -> None:
    kept, moved = (scores_of(suite, bench, disc((90, 60, 180), left=left))["layout_shift"] for left in (12, 30))
    assert kept < 0.1 < 0.5 < moved


def test_what_has_no_meaning_is_absent(suite: Suite, bench: BenchSet) -> None:
    style_alone = scores_of(suite, bench, disc((90, 60, 180)), content=None, likenesses=(), truth=None)
    assert set(style_alone) == {"nano_style", "style_leak", "style_copy_share", "style_copy"}
    subject_alone = scores_of(suite, bench, disc((90, 60, 180)), styles=())
    assert set(subject_alone) == {"nano_subject", "copy_share", "copy_paste", "layout_shift"}


def test_what_is_measured_does_not_depend_on_what_else_is(suite: Suite, bench: BenchSet) -> None:
    paths = []
    for number in range(20):
        paths.append(bench.folder / f"{number}.png")
        disc((10 * number, 60, 200), left=number).save(paths[-1])
    together = suite.score(bench, bench.items * 20, paths)
    assert together[7:9] == suite.score(bench, bench.items * 2, paths[7:9])


def test_every_encoder_is_stated_and_decides_the_digest(tmp_path: Path) -> None:
    stated = SuiteSpec().stated
    assert all(len(told["sha256"]) == 64 for told in stated.values())
    assert set(stated) == {"nano_style", "nano_subject", "style_leak"}
    (tmp_path / "model.safetensors").write_bytes(b"a")
    named = SuiteSpec(dino=str(tmp_path))
    before = named.digest
    assert not named.nano
    (tmp_path / "model.safetensors").write_bytes(b"another")
    assert len({before, SuiteSpec(dino=str(tmp_path)).digest, SuiteSpec().digest}) == 3
    assert SuiteSpec(device="cuda").digest == SuiteSpec().digest


def test_an_unreadable_picture_is_named(suite: Suite, bench: BenchSet) -> None:
    (bench.folder / "broken.png").write_bytes(b"no picture")
    with pytest.raises(ValueError, match=r"broken\.png"):
        suite.score(bench, bench.items, [bench.folder / "broken.png"])
