"""Every tower gives what its library gives, whatever the images' company, and says who it is."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import Dinov2Model, SiglipImageProcessor, SiglipModel, ViTForImageClassification, ViTImageProcessor

from tests.workers.towers.making import CLIP_CONFIG, pictures, save_classifier
from uso.encoders import EncoderError
from workers.towers.base import TextTower, TowerError
from workers.towers.load import build_tower, tower_digest
from workers.towers.open_clip_tower import OpenClipTower
from workers.towers.settings import (
    ClassifierSettings,
    Dinov2Settings,
    OpenClipSettings,
    SiglipSettings,
    SscdSettings,
    TowerSettings,
)

Zoo = dict[str, TowerSettings]
pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit")
KINDS = ("nano", "csd", "open_clip", "dinov2", "siglip", "sscd")


@pytest.mark.parametrize("kind", KINDS)
def test_vectors_have_unit_length_and_do_not_depend_on_company(zoo: Zoo, kind: str) -> None:
    tower, images = build_tower(zoo[kind]), pictures(6)
    together = tower.embed_all(images)
    assert set(together) == set(tower.heads)
    for head, vectors in together.items():
        assert vectors.shape[0] == 6
        assert vectors.dtype == np.float32
        assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
        assert tower.embed(images[4:5], head)[0] == pytest.approx(vectors[4], abs=1e-6)
    assert (tower.device, tower.dtype) == ("cpu", "float32")
    assert tower.digest == tower_digest(zoo[kind])
    assert len(tower.embed([])) == 0


def test_open_clip_gives_the_librarys_own_vectors_of_images_and_texts(zoo: Zoo) -> None:
    tower, images = build_tower(zoo["open_clip"]), pictures(3)
    assert isinstance(tower, TextTower)
    settings = zoo["open_clip"]
    assert isinstance(settings, OpenClipSettings)
    name = f"local-dir:{settings.model}"
    model, _, preprocess = open_clip.create_model_and_transforms(name)
    texts = ["a painted cat", "a photograph", "a painted cat"]
    with torch.no_grad():
        seen = model.eval().encode_image(torch.stack([preprocess(Image.fromarray(i)) for i in images]), normalize=True)
        read = model.encode_text(open_clip.get_tokenizer(name)(texts), normalize=True)
    assert tower.embed(images) == pytest.approx(seen.numpy(), abs=1e-5)
    assert tower.embed_texts(texts) == pytest.approx(read.numpy(), abs=1e-5)


def test_open_clip_takes_a_configuration_of_ones_own_with_a_checkpoint(zoo: Zoo, tmp_path: Path) -> None:
    known = zoo["open_clip"]
    assert isinstance(known, OpenClipSettings)
    (tmp_path / "tiny-of-mine.json").write_text(json.dumps(CLIP_CONFIG))
    state = load_file(Path(known.model) / "open_clip_model.safetensors")
    torch.save({"state_dict": {f"module.{name}": tensor for name, tensor in state.items()}}, tmp_path / "epoch_3.pt")
    own = OpenClipSettings(
        kind="open_clip", model=str(tmp_path / "tiny-of-mine.json"), pretrained=str(tmp_path / "epoch_3.pt")
    )
    assert build_tower(own).embed(pictures(2)) == pytest.approx(build_tower(known).embed(pictures(2)), abs=1e-6)


@pytest.mark.parametrize(
    ("keys", "complaint"),
    [
        ({"model": "ViT-Nowhere"}, "knows no model"),
        ({"model": "ViT-B-32"}, "has no weights"),
        ({"model": "ViT-B-32", "pretrained": "nobody"}, "no tag of it; tags: openai"),
        ({"model": "ViT-L-14", "pretrained": "openai"}, "with QuickGELU; name the model ViT-L-14-quickgelu"),
        ({"model": "mine.json", "pretrained": "openai"}, "no such file"),
    ],
)
def test_an_open_clip_model_that_cannot_be_had_is_named_with_the_mend(keys: dict[str, str], complaint: str) -> None:
    with pytest.raises(TowerError, match=complaint):
        tower_digest(OpenClipSettings(kind="open_clip", **keys))


def test_dinov2_gives_the_class_token(zoo: Zoo) -> None:
    settings, images = zoo["dinov2"], pictures(3)
    assert isinstance(settings, Dinov2Settings)
    pixels = ViTImageProcessor.from_pretrained(settings.model)(
        [Image.fromarray(image) for image in images], return_tensors="pt"
    ).pixel_values
    with torch.no_grad():
        tokens = Dinov2Model.from_pretrained(settings.model)(pixels).last_hidden_state[:, 0]
    expected = torch.nn.functional.normalize(tokens, dim=1).numpy()
    assert build_tower(settings).embed(images) == pytest.approx(expected, abs=1e-5)


def test_siglip_gives_the_pooled_output_of_its_vision_tower(zoo: Zoo) -> None:
    settings, images = zoo["siglip"], pictures(3)
    assert isinstance(settings, SiglipSettings)
    pixels = SiglipImageProcessor.from_pretrained(settings.model)(
        [Image.fromarray(image) for image in images], return_tensors="pt"
    ).pixel_values
    with torch.no_grad():
        pooled = SiglipModel.from_pretrained(settings.model).vision_model(pixels).pooler_output
    expected = torch.nn.functional.normalize(pooled, dim=1).numpy()
    assert build_tower(settings).embed(images) == pytest.approx(expected, abs=1e-5)


def test_sscd_squeezes_and_normalises_as_its_release_does(zoo: Zoo) -> None:
    from torchvision import transforms

    settings, images = zoo["sscd"], pictures(3)
    assert isinstance(settings, SscdSettings)
    skew = transforms.Compose(
        [
            transforms.Resize([64, 64]),
            transforms.ToTensor(),
            transforms.Normalize(mean=[0.485, 0.456, 0.406], std=[0.229, 0.224, 0.225]),
        ]
    )
    network = torch.jit.load(str(settings.weights))
    with torch.no_grad():
        vectors = network(torch.stack([skew(Image.fromarray(image)) for image in images]))
    expected = torch.nn.functional.normalize(vectors, dim=1).numpy()
    assert build_tower(settings).embed(images) == pytest.approx(expected, abs=1e-5)


def test_a_file_that_is_no_torchscript_is_named(tmp_path: Path) -> None:
    (tmp_path / "sscd.pt").write_bytes(b"no module")
    with pytest.raises(TowerError, match=r"sscd\.pt: is no TorchScript file"):
        build_tower(SscdSettings(kind="sscd", weights=tmp_path / "sscd.pt"))


def test_a_classifier_gives_the_probability_of_its_label(zoo: Zoo) -> None:
    settings, images = zoo["classifier"], pictures(5)
    assert isinstance(settings, ClassifierSettings)
    pixels = ViTImageProcessor.from_pretrained(settings.model)(
        [Image.fromarray(image) for image in images], return_tensors="pt"
    ).pixel_values
    with torch.no_grad():
        shares = ViTForImageClassification.from_pretrained(settings.model)(pixels).logits.softmax(1)
    assert build_tower(settings).embed(images) == pytest.approx(shares[:, 1:].numpy(), abs=1e-5)


def test_labels_that_do_not_exclude_each_other_have_a_sigmoid_each(tmp_path: Path) -> None:
    labels = ("blurred", "watermark", "framed")
    folder = save_classifier(tmp_path / "marks", labels, problem_type="multi_label_classification")
    pixels = ViTImageProcessor.from_pretrained(folder)(
        Image.fromarray(pictures(1)[0]), return_tensors="pt"
    ).pixel_values
    with torch.no_grad():
        expected = ViTForImageClassification.from_pretrained(folder)(pixels).logits.sigmoid()[0, 1]
    found = build_tower(ClassifierSettings(model=str(folder), label="watermark")).embed(pictures(1))
    assert found.item() == pytest.approx(float(expected), abs=1e-5)


def test_a_label_that_a_classifier_does_not_know_is_refused_with_those_it_knows(zoo: Zoo) -> None:
    settings = zoo["classifier"]
    assert isinstance(settings, ClassifierSettings)
    with pytest.raises(TowerError, match="no label 'nude'; its labels are 'normal', 'nsfw'"):
        build_tower(settings.model_copy(update={"label": "nude"}))


def test_a_digest_follows_weights_and_precision_and_not_places_or_batches(zoo: Zoo, tmp_path: Path) -> None:
    settings = zoo["dinov2"]
    assert isinstance(settings, Dinov2Settings)
    moved = shutil.copytree(settings.model, tmp_path / "elsewhere")
    same = settings.model_copy(update={"model": str(moved), "batch": 9, "threads": 3})
    assert tower_digest(same) == tower_digest(settings)
    assert tower_digest(settings.model_copy(update={"dtype": "bfloat16"})) != tower_digest(settings)
    weights = load_file(moved / "model.safetensors")
    weights["layernorm.bias"] += 1
    save_file(weights, moved / "model.safetensors", metadata={"format": "pt"})
    assert tower_digest(same) != tower_digest(settings)


def test_a_folder_without_weights_is_refused(zoo: Zoo, tmp_path: Path) -> None:
    settings = zoo["siglip"]
    assert isinstance(settings, SiglipSettings)
    broken = shutil.copytree(settings.model, tmp_path / "broken")
    weights = load_file(broken / "model.safetensors")
    del weights["vision_model.head.probe"]
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(EncoderError, match=r"head\.probe"):
        build_tower(settings.model_copy(update={"model": str(broken)}))
    (broken / "model.safetensors").unlink()
    with pytest.raises(TowerError, match="no weights in safetensors"):
        build_tower(settings.model_copy(update={"model": str(broken)}))


@pytest.mark.parametrize("kind", ["csd", "open_clip", "dinov2", "siglip"])
def test_half_precision_is_near_to_whole(zoo: Zoo, kind: str) -> None:
    settings: Any = zoo[kind]
    whole, half = build_tower(settings), build_tower(settings.model_copy(update={"dtype": "bfloat16"}))
    cosines = (whole.embed(pictures(3)) * half.embed(pictures(3))).sum(axis=1)
    assert half.dtype == "bfloat16"
    assert cosines.min() > 0.99


class _Cramped(OpenClipTower):
    """Has memory for two images at once."""

    def encode(self, inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if len(inputs) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return super().encode(inputs)


def test_where_memory_runs_out_batches_are_halved_and_no_image_is_lost(
    zoo: Zoo, caplog: pytest.LogCaptureFixture
) -> None:
    settings = zoo["open_clip"]
    assert isinstance(settings, OpenClipSettings)
    roomy = settings.model_copy(update={"batch": 8})
    with caplog.at_level(logging.WARNING):
        found = _Cramped(roomy, digest="").embed(pictures(11))
    assert found == pytest.approx(build_tower(settings).embed(pictures(11)), abs=1e-5)
    assert [record.getMessage().split(", ")[1] for record in caplog.records] == [
        "from now on 4 images a batch",
        "from now on 2 images a batch",
    ]
