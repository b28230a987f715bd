"""An encoder takes any picture, answers alike in any company, and refuses what is not its weights."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from uso.nano.tower import NanoTower, TowerShape
from uso.nano.weights import save_tower
from workers.encoders.load import NanoEncoder
from workers.encoders.preprocess import to_square


@pytest.fixture(scope="module")
def encoder() -> NanoEncoder:
    return NanoEncoder()


def pictures(seed: int, count: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(8, 200, (count, 2))
    return [rng.integers(0, 256, (height, width, 3), dtype=np.uint8) for height, width in sizes]


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), count=st.integers(1, 20))
def test_vectors_have_unit_length_at_any_size(encoder: NanoEncoder, seed: int, count: int) -> None:
    for vectors in encoder.embed(pictures(seed, count)):
        assert vectors.shape == (count, encoder.width)
        assert vectors.dtype == np.float32
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_an_images_vectors_do_not_depend_on_its_company(encoder: NanoEncoder) -> None:
    images = pictures(2, 37)
    together = encoder.embed(images)
    for position in (0, 15, 16, 36):
        alone = encoder.embed(images[position : position + 1])
        for kind in range(2):
            assert np.array_equal(alone[kind][0], together[kind][position])


def test_no_images_give_no_vectors(encoder: NanoEncoder) -> None:
    style, subject = encoder.embed([])
    assert style.shape == subject.shape == (0, encoder.width)


def test_the_digest_is_that_of_the_file(tmp_path: Path, shape: TowerShape) -> None:
    path = tmp_path / "own.safetensors"
    save_tower(NanoTower(shape), path)
    assert NanoEncoder(path).digest == hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_tower_comes_back_from_its_file(tmp_path: Path, shape: TowerShape) -> None:
    torch.manual_seed(1)
    tower = NanoTower(shape).eval()
    save_tower(tower, tmp_path / "own.safetensors")
    images = pictures(4, 3)
    batch = torch.from_numpy(np.stack([to_square(image, 32) for image in images])).permute(0, 3, 1, 2).float() / 255
    with torch.inference_mode():
        expected = tower(batch)
    for found, wanted in zip(NanoEncoder(tmp_path / "own.safetensors").embed(images), expected, strict=True):
        assert np.allclose(found, wanted.numpy(), atol=0.01)


@pytest.mark.parametrize("content", [b"", b"not weights at all", None])
def test_a_file_that_holds_no_encoder_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "other.safetensors"
    if content is None:
        save_file({"x": torch.zeros(3)}, path)
    else:
        path.write_bytes(content)
    with pytest.raises(ValueError, match=r"other\.safetensors does not hold the weights of a nano encoder"):
        NanoEncoder(path)


@pytest.mark.parametrize("image", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3)), np.zeros((0, 4, 3), np.uint8)])
def test_what_is_not_an_rgb_image_is_refused(encoder: NanoEncoder, image: np.ndarray) -> None:
    with pytest.raises(ValueError, match="an image must be uint8"):
        encoder.embed([image])


def test_a_picture_that_is_not_square_is_padded_with_the_colour_of_its_rim() -> None:
    wide = np.full((10, 40, 3), 77, np.uint8)
    wide[3:7, 10:30] = 200
    square = to_square(wide, 40)
    assert square.shape == (40, 40, 3)
    assert np.array_equal(square[15:25], wide)
    assert (square[:15] == 77).all()
    assert (square[25:] == 77).all()
