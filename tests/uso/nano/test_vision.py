"""The nano tower where SigLIP would stand: three levels of features, from a few words in a recipe."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from uso.encoders import EncoderError
from uso.nano.tower import NanoTower, TowerShape
from uso.nano.vision import NanoVision
from uso.nano.weights import SHIPPED, save_tower
from uso.presets import StyleShape
from uso.projector import HierarchicalProjector
from uso.vision import VisionTower, load_vision

FLOAT = torch.float32


def drawings(count: int = 24) -> list[Image.Image]:
    """Return pictures of overlapping shapes, of many colours and several sizes."""
    rng = np.random.default_rng(0)
    images = []
    for _ in range(count):
        width, height = (int(side) for side in rng.integers(60, 200, 2))
        image = Image.new("RGB", (width, height), "white")
        pen = ImageDraw.Draw(image)
        for _ in range(12):
            x, y = rng.integers(0, (width, height))
            reach = rng.integers(5, 40, 2)
            colour = tuple(int(level) for level in rng.integers(0, 256, 3))
            draw = pen.ellipse if rng.random() < 0.5 else pen.rectangle
            draw((int(x), int(y), int(x + reach[0]), int(y + reach[1])), fill=colour, outline="black")
        images.append(image)
    return images


@pytest.fixture(scope="module")
def vision() -> NanoVision:
    return NanoVision.load("nano", dtype=FLOAT)


def test_images_of_any_size_become_three_levels_that_the_projector_takes(vision: NanoVision) -> None:
    features = vision.encode([*drawings(3), Image.new("RGBA", (30, 50))])
    assert [level.shape for level in features] == [(4, 64, 192)] * 3
    projector = HierarchicalProjector(StyleShape(tokens_in=64, tokens_out=16, width=192), hidden=32)
    assert projector(features).shape == (4, 48, 32)
    assert all(level.dtype == FLOAT and not level.requires_grad for level in features)


def test_levels_are_the_last_stages_of_the_tower_centred_and_scaled(vision: NanoVision) -> None:
    image = Image.fromarray(np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    features = vision.encode([image])
    pixels = torch.from_numpy(np.array(image, dtype=np.float32) / 255).permute(2, 0, 1)[None]
    with torch.no_grad():
        maps = vision.model.maps(pixels)
    # The third stage has the grid's size, so its features are its map, channel by channel, but for shift and scale.
    seen, raw = features.mid[0, :, :96], maps[2][0].flatten(1).T
    fires = raw.std(dim=0) > 0
    assert fires.sum() > 60
    for one, other in zip(seen.T[fires], raw.T[fires], strict=True):
        torch.testing.assert_close((one - one.mean()) / one.std(), (other - other.mean()) / other.std())
    assert features.low[..., 48:].abs().max() == features.mid[..., 96:].abs().max() == 0


def test_every_level_is_about_as_large_as_the_others(vision: NanoVision) -> None:
    features = vision.encode(drawings())
    for level, channels in zip(features, (192, 96, 48), strict=True):
        filled = level[..., :channels]
        assert 0.4 < float(filled.var()) < 2.5
        assert abs(float(filled.mean())) < 0.5


def test_features_do_not_depend_on_company(vision: NanoVision) -> None:
    images = drawings(5)
    together = vision.encode(images)
    alone = vision.encode(images[3:4])
    assert all(torch.equal(many[3:4], one) for many, one in zip(together, alone, strict=True))


def test_one_source_string_chooses_the_tower(pipeline: Path, tmp_path: Path) -> None:
    assert isinstance(load_vision(str(pipeline / "vision"), dtype=FLOAT), VisionTower)
    shipped = load_vision("nano", dtype=torch.bfloat16)
    assert isinstance(shipped, NanoVision)
    assert shipped.dtype is torch.bfloat16
    assert shipped.digest == hashlib.sha256(SHIPPED.read_bytes()).hexdigest()
    assert shipped.encode(drawings(1)).high.dtype is torch.bfloat16
    torch.manual_seed(0)
    save_tower(
        NanoTower(TowerShape(side=32, channels=(8, 12, 16, 24), blocks=(0, 0, 1, 0))), tmp_path / "own.safetensors"
    )
    own = load_vision(f"nano:{tmp_path / 'own.safetensors'}", dtype=FLOAT)
    assert own.encode(drawings(2)).low.shape == (2, 64, 24)
    own.release()
    with pytest.raises(EncoderError, match="was released"):
        own.encode(drawings(1))


def test_what_is_no_tower_is_named(tmp_path: Path) -> None:
    with pytest.raises(EncoderError, match=r"nano:.*gone\.safetensors: cannot be loaded"):
        load_vision(f"nano:{tmp_path / 'gone.safetensors'}", dtype=FLOAT)
    (tmp_path / "text.safetensors").write_text("not weights")
    with pytest.raises(EncoderError, match="does not hold the weights of a nano encoder"):
        load_vision(f"nano:{tmp_path / 'text.safetensors'}", dtype=FLOAT)
    with pytest.raises(EncoderError, match="is no nano tower"):
        NanoVision.load("siglip", dtype=FLOAT)
    save_tower(NanoTower(TowerShape(side=32, channels=(8, 12), blocks=(0, 0))), tmp_path / "flat.safetensors")
    with pytest.raises(EncoderError, match="need 3 stages or more"):
        load_vision(f"nano:{tmp_path / 'flat.safetensors'}", dtype=FLOAT)
