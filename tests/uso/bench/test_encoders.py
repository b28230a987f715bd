"""Published encoders, small ones built here: loaded by the code that loads the real ones, whole or not at all."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPTextConfig,
    CLIPVisionConfig,
    Dinov2Config,
    Dinov2Model,
    ViTConfig,
    ViTImageProcessor,
    ViTModel,
)

from tests.uso.conftest import word_tokenizer
from tests.uso.training.reward.conftest import SMALL_CSD
from uso.bench.encoders.base import BATCH, ImageEncoder
from uso.bench.encoders.clip import ClipEncoder
from uso.bench.encoders.csd import CsdEncoder
from uso.bench.encoders.dino import DinoEncoder
from uso.encoders import EncoderError
from uso.training.reward.csd import CSDNetwork, save_csd

SIZE = {"height": 28, "width": 28}


@pytest.fixture(scope="module")
def clip_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clip")
    torch.manual_seed(0)
    words = word_tokenizer(folder, begin="<s>", end="</s>")
    text = CLIPTextConfig(
        vocab_size=words,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=12,
        eos_token_id=words - 1,
    )
    vision = CLIPVisionConfig(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=2, image_size=28, patch_size=7
    )
    config = CLIPConfig(text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=24)
    CLIPModel(config).save_pretrained(folder)
    CLIPImageProcessor(size={"shortest_edge": 28}, crop_size=SIZE).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=["vit", "dinov2"])
def dino_folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "image_size": 28, "patch_size": 7}
    if request.param == "vit":
        ViTModel(ViTConfig(intermediate_size=64, **shape), add_pooling_layer=False).save_pretrained(folder)
    else:
        Dinov2Model(Dinov2Config(**shape)).save_pretrained(folder)
    ViTImageProcessor(size=SIZE).save_pretrained(folder)
    return folder


@pytest.fixture
def pictures() -> list[Image.Image]:
    rng = np.random.default_rng(0)
    return [Image.fromarray(rng.integers(0, 255, (30 + n, 40, 3), dtype=np.uint8)) for n in range(BATCH + 3)]


def check_alone_and_together(encoder: ImageEncoder, pictures: list[Image.Image]) -> None:
    together = encoder.embed(pictures)
    assert np.linalg.norm(together, axis=1) == pytest.approx(1, abs=1e-5)
    for number in (0, 5, len(pictures) - 1):
        assert encoder.embed([pictures[number]])[0] == pytest.approx(together[number], abs=1e-6)
    assert together[0] @ together[1] < 0.9999


def test_clip_gives_the_models_own_similarity(clip_folder: Path, pictures: list[Image.Image]) -> None:
    encoder = ClipEncoder(str(clip_folder))
    check_alone_and_together(encoder, pictures)
    model = CLIPModel.from_pretrained(clip_folder).eval()
    processor = CLIPImageProcessor.from_pretrained(clip_folder)
    tokens = encoder._tokenizer(["the cat on a roof"], padding="max_length", max_length=12, return_tensors="pt")
    with torch.no_grad():
        found = model(
            pixel_values=processor(pictures[:1], return_tensors="pt").pixel_values, input_ids=tokens.input_ids
        )
    theirs = float(found.logits_per_image / model.logit_scale.exp().detach())
    ours = float(encoder.embed(pictures[:1])[0] @ encoder.embed_texts(["the cat on a roof"])[0])
    assert ours == pytest.approx(theirs, abs=1e-5)


def test_dino_gives_the_class_token(dino_folder: Path, pictures: list[Image.Image]) -> None:
    encoder = DinoEncoder(str(dino_folder))
    check_alone_and_together(encoder, pictures)
    with torch.no_grad():
        pixels = ViTImageProcessor.from_pretrained(dino_folder)(pictures[:1], return_tensors="pt").pixel_values
        token = AutoModel.from_pretrained(dino_folder)(pixels).last_hidden_state[0, 0].numpy()
    assert encoder.embed(pictures[:1])[0] == pytest.approx(token / np.linalg.norm(token), abs=1e-5)


def test_csd_gives_the_style_vector_that_training_rewards(tmp_path: Path, pictures: list[Image.Image]) -> None:
    torch.manual_seed(0)
    save_csd(CSDNetwork(SMALL_CSD), tmp_path / "csd.safetensors")
    encoder = CsdEncoder(tmp_path / "csd.safetensors", shape=SMALL_CSD)
    check_alone_and_together(encoder, pictures)


def test_an_encoder_that_lacks_weights_does_not_load(clip_folder: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(clip_folder, tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    del weights["visual_projection.weight"]
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match="visual_projection"):
        ClipEncoder(str(broken))
    with pytest.raises(EncoderError, match="nowhere"):
        DinoEncoder(str(tmp_path / "nowhere"))
