"""CSD from its released checkpoint: converted once, scored exactly, and refused where it is not whole."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from open_clip.transformer import LayerNorm, QuickGELU, VisionTransformer
from PIL import Image
from torchvision import transforms
from typer.testing import CliRunner

from curation.cli.main import app
from tests.workers.towers.making import SMALL_CSD, pictures, released_csd
from workers.towers.base import TowerError
from workers.towers.load import build_tower
from workers.towers.settings import CsdSettings


def published(weights: dict[str, torch.Tensor], images: list[np.ndarray]) -> np.ndarray:
    """Return style vectors as the paper's code computes them."""
    trunk = VisionTransformer(28, 7, 128, 2, 2, 4.0, output_dim=24, act_layer=QuickGELU, norm_layer=LayerNorm)
    trunk.proj = None
    trunk.load_state_dict({k.removeprefix("backbone."): v for k, v in weights.items() if k.startswith("backbone.")})
    clip = transforms.Compose(
        [
            transforms.Resize(28, interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(28),
            transforms.ToTensor(),
            transforms.Normalize((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
        ]
    )
    with torch.no_grad():
        features = trunk.eval()(torch.stack([clip(Image.fromarray(image)) for image in images]))
        return torch.nn.functional.normalize(features @ weights["last_layer_style"], dim=1).numpy()


def test_the_released_checkpoint_scores_as_the_paper_s_code_does(tmp_path: Path) -> None:
    weights = released_csd(tmp_path / "checkpoint.pth")
    said = CliRunner().invoke(
        app, ["encoders", "csd-convert", str(tmp_path / "checkpoint.pth"), str(tmp_path / "csd.safetensors")]
    )
    assert said.exit_code == 0, said.output
    tower = build_tower(CsdSettings(kind="csd", weights=tmp_path / "csd.safetensors", batch=4))
    images = pictures(6)
    ours, theirs = tower.embed(images, "style"), published(weights, images)
    # Pillow rounds pixels to 8 bits where tensors are not rounded.
    assert ours @ ours.T == pytest.approx(theirs @ theirs.T, abs=2e-3)
    assert (ours * theirs).sum(axis=1) == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("missing", ["last_layer_style", "last_layer_content", "backbone.class_embedding"])
def test_a_checkpoint_with_a_missing_key_is_refused_by_its_name(tmp_path: Path, missing: str) -> None:
    released_csd(tmp_path / "checkpoint.pth", without=missing)
    said = CliRunner().invoke(
        app, ["encoders", "csd-convert", str(tmp_path / "checkpoint.pth"), str(tmp_path / "csd.safetensors")]
    )
    assert said.exit_code == 2
    assert "1 missing" in " ".join(said.output.split())
    assert missing in said.output
    assert not (tmp_path / "csd.safetensors").exists()


def test_jobs_load_no_pickle(tmp_path: Path) -> None:
    released_csd(tmp_path / "checkpoint.pth")
    with pytest.raises(ValueError, match="csd-convert"):
        CsdSettings(kind="csd", weights=tmp_path / "checkpoint.pth")
    (tmp_path / "checkpoint.pth").rename(tmp_path / "csd.safetensors")
    with pytest.raises(TowerError, match="from safetensors only"):
        build_tower(CsdSettings(kind="csd", weights=tmp_path / "csd.safetensors"))


def test_sizes_are_read_from_the_weights(tmp_path: Path) -> None:
    from uso.training.reward.csd import CSDShape

    assert CSDShape.of(released_csd(tmp_path / "checkpoint.pth")) == SMALL_CSD
