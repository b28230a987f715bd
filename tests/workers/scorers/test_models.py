"""Scores by models of one's own: shared towers, empty prompts, images that fail, and files that are no models."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from tests.workers.towers.making import CLIP_CONFIG, pictures, save_aesthetic_head, save_open_clip
from workers.scorers.aesthetic import load_head
from workers.scorers.base import Pixels, Trio, View
from workers.scorers.contamination import Contamination
from workers.scorers.embedder import Candidate, Embedder
from workers.scorers.faces import Cascade, Faces, Yunet
from workers.scorers.references import Evaluation, References
from workers.scorers.settings import AestheticSettings, PhotorealismSettings, ScorerSettings, YunetSettings
from workers.scorers.suite import build_suite, load_towers, measure, suite
from workers.towers.base import TextTower, Tower, Vectors
from workers.towers.open_clip_tower import OpenClipTower
from workers.towers.settings import OpenClipSettings

NO_BANK = References(np.eye(16, CLIP_CONFIG["embed_dim"], dtype=np.float32))


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> OpenClipSettings:
    folder = save_open_clip(tmp_path_factory.mktemp("clip"))
    return OpenClipSettings(kind="open_clip", model=str(folder), batch=64)


@pytest.fixture(scope="module")
def everything(clip: OpenClipSettings, tmp_path_factory: pytest.TempPathFactory) -> ScorerSettings:
    """Return settings in which one CLIP serves style, subject, text, photorealism and aesthetic."""
    head = tmp_path_factory.mktemp("head") / "sac+logos+ava1-l14-linearMSE.pth"
    save_aesthetic_head(head)
    photorealism = PhotorealismSettings.model_validate(clip.model_dump())
    aesthetic = AestheticSettings(kind="laion", head=head, clip=clip)
    return ScorerSettings(style=clip, subject=clip, text=clip, photorealism=photorealism, aesthetic=aesthetic)


def candidates(count: int) -> tuple[list[Pixels], list[Candidate]]:
    """Return candidates of two layouts each, which share target and style reference."""
    made = []
    for number in range(count):
        first = 4 * number
        for content in (first + 2, first + 3):
            prompt = "a photo of a cat" if content % 2 else ""
            made.append(Candidate({"target": first, "style": first + 1, "content": content}, prompt))
    return pictures(4 * count), made


def test_an_image_goes_through_a_tower_once_however_many_scores_and_candidates_read_it(
    everything: ScorerSettings,
) -> None:
    towers = load_towers(everything)
    assert len({id(tower) for tower in towers.values()}) == 1
    tower = towers["style"]
    assert isinstance(tower, OpenClipTower)
    forwards: list[int] = []
    tower._model.visual.register_forward_pre_hook(lambda _, inputs: forwards.append(len(inputs[0])))
    prepared: list[int] = []
    prepare = tower.prepare
    tower.prepare = lambda images: prepared.append(len(images)) or prepare(images)  # type: ignore[method-assign,func-returns-value]
    images, group = candidates(5)
    seen = Embedder(towers).look(images, group)
    assert prepared == [20]
    assert forwards == [64]
    scores = [measure(suite(everything, towers, NO_BANK), each.trio, each.broken) for each in seen]
    assert all(not failures for _, failures in scores)
    assert forwards == [64]
    assert all({"photorealism", "aesthetic", "style_leak", "destylization"} <= set(found) for found, _ in scores)


def test_scores_are_those_of_the_vectors(everything: ScorerSettings, clip: OpenClipSettings) -> None:
    images, group = candidates(1)
    embedder, scorers = build_suite(everything, NO_BANK)
    scores, _ = measure(scorers, embedder.look(images, group)[1].trio)
    tower = OpenClipTower(clip, digest="")
    target, style, _, content = tower.embed(images)
    assert scores["style_similarity"] == pytest.approx(float(target @ style), abs=1e-4)
    assert scores["subject_consistency"] == pytest.approx(float(target @ content), abs=1e-4)
    assert scores["text_alignment"] == pytest.approx(
        float(target @ tower.embed_texts(["a photo of a cat"])[0]), abs=1e-4
    )
    sides = [
        tower.embed_texts(texts).mean(axis=0)
        for texts in (["a photograph", "a photo"], ["a painting", "a drawing", "a render"])
    ]
    photograph, artwork = (side / np.linalg.norm(side) for side in sides)
    assert scores["photorealism"] == pytest.approx(float(content @ photograph - content @ artwork), abs=1e-4)
    assert everything.aesthetic is not None
    network = save_aesthetic_head(everything.aesthetic.head)
    with torch.no_grad():
        assert scores["aesthetic"] == pytest.approx(float(network(torch.from_numpy(target))), abs=1e-3)


def test_an_empty_prompt_has_no_alignment_and_is_no_failure(everything: ScorerSettings) -> None:
    images, group = candidates(1)
    embedder, scorers = build_suite(everything, NO_BANK)
    silent, spoken = (measure(scorers, seen.trio, seen.broken) for seen in embedder.look(images, group))
    assert "text_alignment" not in silent[0]
    assert silent[1] == {}
    assert "text_alignment" in spoken[0]


class _Picky(TextTower):
    """Cannot see black images, or read of dogs."""

    heads = ("image",)
    digest, device, dtype = "", "cpu", "float32"

    def embed_all(self, images: list[Pixels]) -> dict[str, Vectors]:  # type: ignore[override]
        if any(image.max() == 0 for image in images):
            raise RuntimeError("too dark")
        return {"image": np.tile(np.eye(1, 24, dtype=np.float32), (len(images), 1))}

    def embed_texts(self, texts: list[str]) -> Vectors:  # type: ignore[override]
        if any("dog" in text for text in texts):
            raise RuntimeError("no dogs")
        return np.tile(np.eye(1, 24, dtype=np.float32), (len(texts), 1))


def test_what_a_model_fails_on_costs_the_scores_that_read_it_and_no_other_row(everything: ScorerSettings) -> None:
    images, group = candidates(2)
    images[2] = np.zeros_like(images[2])
    group[3] = Candidate(group[3].places, "a dog")
    towers: dict[str, Tower] = {"style": _Picky(), "subject": _Picky(), "text": _Picky()}
    settings = ScorerSettings(style=everything.style, subject=everything.subject, text=everything.text)
    seen = Embedder(towers).look(images, group)
    found = [measure(suite(settings, towers, NO_BANK), each.trio, each.broken) for each in seen]
    failed = [set(failures) for _, failures in found]
    dark = {"style_similarity", "style_similarity_csls", "destylization", "style_leak", "subject_consistency"}
    assert failed == [dark, set(), set(), {"text_alignment"}]
    assert found[0][1]["destylization"] == "the content: RuntimeError: too dark"
    assert found[3][1]["text_alignment"] == "the prompt: RuntimeError: no dogs"
    assert not set(found[0][0]) & dark
    assert found[1][0]["style_similarity"] == 1


@pytest.mark.parametrize("name", ["head.pth", "head.safetensors"])
def test_the_aesthetic_head_is_read_from_either_form(tmp_path: Path, name: str) -> None:
    network = save_aesthetic_head(tmp_path / name)
    linear = [layer for layer in network if isinstance(layer, nn.Linear)]
    for (weight, bias), layer in zip(load_head(tmp_path / name), linear, strict=True):
        assert weight == pytest.approx(layer.weight.detach().numpy())
        assert bias == pytest.approx(layer.bias.detach().numpy())


@pytest.mark.parametrize(
    ("state", "complaint"),
    [
        ({"layers.0.weight": torch.zeros(3, 4)}, "layer 0 has no bias"),
        ({"weight": torch.zeros(3, 4), "bias": torch.zeros(3)}, "do not lead from a vector to one number"),
        ({"conv.weight": torch.zeros(3)}, r"conv\.weight is no weight"),
        ({}, "do not lead"),
    ],
)
def test_a_file_that_is_no_aesthetic_head_is_refused(tmp_path: Path, state: dict[str, Tensor], complaint: str) -> None:
    torch.save(state, tmp_path / "head.pth")
    with pytest.raises(ValueError, match=complaint):
        load_head(tmp_path / "head.pth")


def trio(pixels: Pixels, subject: Vectors) -> Trio:
    view = View(pixels, subject, subject)
    return Trio(view, view, view)


def test_contamination_names_the_nearest_evaluation_image_by_hash_or_subject() -> None:
    from skimage import data

    images = [data.astronaut(), data.cat(), data.coffee()]
    subjects = np.eye(3, 4, dtype=np.float32)
    scorer = Contamination(Evaluation.of(["set/astronaut.png", "set/cat.png", "set/coffee.png"], images, subjects))
    stranger, unseen = np.eye(4, dtype=np.float32)[3], pictures(1)[0]
    copy = scorer.find(trio(data.cat()[::2, ::2], stranger))
    assert copy.score is not None
    assert copy.score > 0.9
    assert copy.evidence == {"contaminates": "set/cat.png"}
    redrawn = scorer.find(trio(unseen, 0.8 * subjects[2] + 0.6 * stranger))
    assert redrawn.score == pytest.approx(0.8, abs=1e-6)
    assert redrawn.evidence == {"contaminates": "set/coffee.png"}
    assert scorer.score(trio(unseen, stranger)) == pytest.approx(0.1, abs=0.15)


def test_the_cascade_counts_faces() -> None:
    from skimage import data

    scorer, none = Faces(Cascade()), np.zeros(1, np.float32)
    assert scorer.score(trio(data.astronaut(), none)) == 1
    assert scorer.score(trio(data.cat(), none)) == 0
    assert scorer.score(trio(np.full((128, 128, 3), 255, np.uint8), none)) == 0
    assert scorer.score(trio(np.zeros((8, 8, 3), np.uint8), none)) == 0


class _Lamps(nn.Module):
    """YuNet's twelve outputs at strides 8, 16 and 32; only a white cell of 32 pixels is a face to it."""

    def forward(self, image: Tensor) -> tuple[Tensor, ...]:
        outputs = []
        for channels in (1, 1, 4, 10):
            for stride in (8, 16, 32):
                light = nn.functional.avg_pool2d(image.mean(1, keepdim=True), stride, stride) / 255
                light = light if channels == 1 and stride == 32 else light * 0
                outputs.append(light.permute(0, 2, 3, 1).reshape(1, -1, 1).expand(1, -1, channels) * 1.0)
        return tuple(outputs)


@pytest.fixture(scope="module")
def lamps(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an ONNX file with YuNet's inputs and outputs."""
    from torch.onnx._internal.torchscript_exporter import onnx_proto_utils

    path = tmp_path_factory.mktemp("yunet") / "yunet.onnx"
    names = [f"{kind}_{stride}" for kind in ("cls", "obj", "bbox", "kps") for stride in (8, 16, 32)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(onnx_proto_utils, "_add_onnxscript_fn", lambda model, _: model)  # wants `onnx` for nothing here
        torch.onnx.export(
            _Lamps(), (torch.zeros(1, 3, 64, 64),), str(path), input_names=["input"], output_names=names, dynamo=False
        )
    return path


def test_yunet_s_detections_are_counted(lamps: Path) -> None:
    detector = Yunet(YunetSettings(kind="yunet", weights=lamps))
    street = np.zeros((64, 64, 3), np.uint8)
    assert detector.count(street) == 0
    street[32:, 32:] = 255
    assert detector.count(street) == 1
    street[:32, :32] = 255
    assert detector.count(street) == 2


def test_a_file_that_is_no_onnx_is_named(tmp_path: Path) -> None:
    (tmp_path / "yunet.onnx").write_bytes(b"no network")
    with pytest.raises(ValueError, match=r"yunet\.onnx: OpenCV cannot read it"):
        Yunet(YunetSettings(kind="yunet", weights=tmp_path / "yunet.onnx"))


def test_a_tower_that_does_not_load_is_named_by_its_key(tmp_path: Path) -> None:
    nowhere = OpenClipSettings(kind="open_clip", model="ViT-B-32")
    with pytest.raises(ValueError, match=r"^scores\.text: open_clip ViT-B-32: has no weights"):
        load_towers(ScorerSettings(text=nowhere))
    assert tmp_path.is_dir()
