"""CSD as it was published: CLIP's tower, its two matrices, its preprocessing, and whole files only."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from torch import Tensor
from torchvision import transforms
from transformers import CLIPVisionConfig, CLIPVisionModel

from tests.uso.training.reward.conftest import SMALL_CSD
from uso.training.reward.csd import CSDNetwork, CSDShape, CSDStyleScorer, clip_pixels, convert_released

MEAN, STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def clip_of(weights: dict[str, Tensor]) -> CLIPVisionModel:
    """Return transformers' CLIP, an implementation of its own, with the backbone's weights under its names."""
    config = CLIPVisionConfig(
        hidden_size=SMALL_CSD.width,
        intermediate_size=4 * SMALL_CSD.width,
        num_hidden_layers=SMALL_CSD.layers,
        num_attention_heads=SMALL_CSD.width // 64,
        image_size=SMALL_CSD.side,
        patch_size=SMALL_CSD.patch,
        hidden_act="quick_gelu",
    )
    renamed = {
        "embeddings.class_embedding": weights["backbone.class_embedding"],
        "embeddings.position_embedding.weight": weights["backbone.positional_embedding"],
        "embeddings.patch_embedding.weight": weights["backbone.conv1.weight"],
    }
    for kind in ("weight", "bias"):
        renamed[f"pre_layrnorm.{kind}"] = weights[f"backbone.ln_pre.{kind}"]
        renamed[f"post_layernorm.{kind}"] = weights[f"backbone.ln_post.{kind}"]
        for layer in range(SMALL_CSD.layers):
            block, ours = f"encoder.layers.{layer}", f"backbone.transformer.resblocks.{layer}"
            for part, tensor in zip("qkv", weights[f"{ours}.attn.in_proj_{kind}"].chunk(3), strict=True):
                renamed[f"{block}.self_attn.{part}_proj.{kind}"] = tensor
            renamed[f"{block}.self_attn.out_proj.{kind}"] = weights[f"{ours}.attn.out_proj.{kind}"]
            renamed[f"{block}.mlp.fc1.{kind}"] = weights[f"{ours}.mlp.c_fc.{kind}"]
            renamed[f"{block}.mlp.fc2.{kind}"] = weights[f"{ours}.mlp.c_proj.{kind}"]
            for number in (1, 2):
                renamed[f"{block}.layer_norm{number}.{kind}"] = weights[f"{ours}.ln_{number}.{kind}"]
    model = CLIPVisionModel(config).eval()
    own = {name.removeprefix("vision_model."): name for name in model.state_dict()}
    model.load_state_dict({own[name]: tensor for name, tensor in renamed.items()}, strict=False)
    assert {name for name in own if not name.endswith("position_ids")} == set(renamed)
    return model


def test_vectors_are_clips_state_times_the_two_matrices(csd: CSDStyleScorer, csd_file: Path) -> None:
    weights = load_file(csd_file)
    images = torch.rand(3, 3, SMALL_CSD.side, SMALL_CSD.side, generator=torch.Generator().manual_seed(0))
    mean, std = torch.tensor(MEAN)[:, None, None], torch.tensor(STD)[:, None, None]
    with torch.no_grad():
        state = clip_of(weights)(pixel_values=(images - mean) / std).pooler_output
    for found, matrix in ((csd.embed, "last_layer_style"), (csd.subject, "last_layer_content")):
        wanted = torch.nn.functional.normalize(state @ weights[matrix], dim=1)
        torch.testing.assert_close(found(images * 2 - 1), wanted, atol=2e-5, rtol=0)


@pytest.mark.parametrize("size", [(300, 224), (128, 128), (97, 260), (224, 224), (640, 480)])
def test_images_are_prepared_as_the_published_code_prepares_them(size: tuple[int, int]) -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (*size[::-1], 3), dtype=np.uint8))
    image = image.resize((60, 60)).resize(size)
    published = transforms.Compose(
        [
            transforms.Resize(224, interpolation=transforms.InterpolationMode.BICUBIC),
            transforms.CenterCrop(224),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    ours = clip_pixels(transforms.ToTensor()(image)[None], 224)
    assert ours.shape == (1, 3, 224, 224)
    # Pillow rounds to 8 bits after each of two passes; a level is 1 / 255 / 0.26 = 0.015.
    assert float((ours[0] - published(image)).abs().max()) < 0.03


def test_its_size_is_that_of_the_published_network() -> None:
    with torch.device("meta"):
        network = CSDNetwork(CSDShape())
    counts = {name: tensor.numel() for name, tensor in network.state_dict().items()}
    # CLIP ViT-L/14's visual tower has 303,966,208 weights with its projection of 1024 x 768.
    assert sum(count for name, count in counts.items() if name.startswith("backbone.")) == 303_966_208 - 1024 * 768
    assert counts["last_layer_style"] == counts["last_layer_content"] == 1024 * 768
    assert "backbone.proj" not in counts


@pytest.mark.parametrize("fault", ["missing", "unexpected", "of another shape"])
def test_a_file_that_is_not_whole_is_refused(csd_file: Path, tmp_path: Path, fault: str) -> None:
    weights = load_file(csd_file)
    if fault == "missing":
        del weights["last_layer_style"]
    elif fault == "unexpected":
        weights["backbone.proj"] = torch.zeros(2)
    else:
        weights["last_layer_style"] = torch.zeros(2, 2)
    save_file(weights, tmp_path / "csd.safetensors")
    with pytest.raises(ValueError, match=rf"csd\.safetensors.*1 {fault} \((last_layer_style|backbone\.proj)\)"):
        CSDStyleScorer.load(tmp_path / "csd.safetensors", shape=SMALL_CSD)


def test_the_released_pickle_is_converted_once_and_never_loaded(csd_file: Path, tmp_path: Path) -> None:
    weights = load_file(csd_file)
    released = tmp_path / "checkpoint.pth"
    torch.save(
        {"model_state_dict": {f"module.{name}": tensor for name, tensor in weights.items()}, "epoch": 3}, released
    )
    with pytest.raises(ValueError, match="from safetensors only"):
        CSDStyleScorer.load(released, shape=SMALL_CSD)
    convert_released(released, tmp_path / "out" / "csd.safetensors", shape=SMALL_CSD)
    converted = load_file(tmp_path / "out" / "csd.safetensors")
    assert converted.keys() == weights.keys()
    assert all(torch.equal(converted[name], weights[name]) for name in weights)


def test_a_pickle_that_would_run_something_is_not_opened(tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    class Hostile:
        def __reduce__(self) -> tuple[object, tuple[str, str]]:
            return open, (str(marker), "w")

    torch.save({"model_state_dict": {}, "extra": Hostile()}, tmp_path / "checkpoint.pth")
    with pytest.raises(ValueError, match="no checkpoint of CSD that can be read safely"):
        convert_released(tmp_path / "checkpoint.pth", tmp_path / "csd.safetensors", shape=SMALL_CSD)
    assert not marker.exists()


def test_without_open_clip_the_mend_is_told(csd_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "open_clip.transformer", None)
    with pytest.raises(ImportError, match="pip install open_clip_torch"):
        CSDStyleScorer.load(csd_file, shape=SMALL_CSD)
