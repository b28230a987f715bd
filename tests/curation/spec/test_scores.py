"""The scores of a spec: faults are named with their key, and plain specs keep the digests that they had."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from curation.scoring import ScoringError, scorer_settings, scoring_digest, scoring_models
from curation.spec.load import load_spec
from curation.spec.model import JobSpec
from manifests.identities import digest_of
from manifests.records import EMBEDDED
from manifests.yaml_file import YamlError
from tests.workers.towers.making import save_classifier, save_dinov2, save_open_clip
from uso.nano.weights import SHIPPED
from workers.encoders.load import NanoEncoder
from workers.towers.settings import NanoSettings


def spec(folder: Path, scores: dict[str, Any] | None = None, **more: Any) -> JobSpec:
    path = folder / "job.yaml"
    (folder / "photos").mkdir(exist_ok=True)
    told = {"name": "a", "sources": [{"kind": "procedural", "path": "photos"}], "scores": scores or {}, **more}
    path.write_text(yaml.safe_dump(told))
    return load_spec(path)


@pytest.mark.parametrize(
    ("scores", "complaint"),
    [
        ({"bank": 3}, "scores.bank: a bank is a number of images from 16"),
        ({"bank": "x.safetensors"}, "scores.bank: .*does not exist; `triptych bank build SPEC --out x.safetensors`"),
        ({"neighbours": 700}, "scores: neighbours is 700, the bank has only 512 images"),
        ({"style": "csd"}, "scores.style.weights: this key is needed"),
        ({"style": {"kind": "csd", "weights": "x.pth"}}, "scores.style.weights: .*csd-convert"),
        ({"style": {"kind": "dinov2", "model": "x"}}, "scores.style: .*expected tags: 'nano', 'csd', 'open_clip'"),
        ({"subject": {"kind": "dinov2"}}, "scores.subject.model: this key is needed"),
        ({"text": {"kind": "open_clip", "model": "x", "dtype": "int8"}}, "scores.text.dtype: Input should be"),
        ({"nsfw": {"model": "a"}}, "scores.nsfw.label: this key is needed"),
        ({"faces": {"kind": "yunet", "weights": "y.onnx"}}, "scores.faces.weights: .*kind: cascade"),
        ({"evaluation": ["nope"]}, "scores.evaluation: .*nope is no folder"),
        ({"evaluation": [3]}, r"scores.evaluation\[0\]"),
        ({"beauty": True}, "scores.beauty: unknown key; see docs/spec.md"),
    ],
)
def test_a_fault_is_named_by_its_key(tmp_path: Path, scores: dict[str, Any], complaint: str) -> None:
    with pytest.raises(YamlError, match=complaint):
        spec(tmp_path, scores)


def test_a_rule_on_a_score_that_nothing_measures_is_refused(tmp_path: Path) -> None:
    rule = {"policy": [{"column": "nsfw", "max": 0.3}]}
    with pytest.raises(YamlError, match=r"nothing measures nsfw; name what does under scores\.nsfw"):
        spec(tmp_path, **rule)
    known = {"nsfw": {"model": "some/model", "label": "nsfw"}}
    assert spec(tmp_path, known, **rule).scores.measured == (*EMBEDDED, "nsfw")


def test_a_plain_spec_keeps_the_digest_that_it_had_before_there_were_other_models(tmp_path: Path) -> None:
    plain = spec(tmp_path, {"bank": 48, "neighbours": 5})
    assert scoring_digest(plain) == digest_of([NanoEncoder().digest, {"bank": 48, "neighbours": 5}])
    assert scoring_digest(plain) == scoring_digest(spec(tmp_path, {"bank": 48, "neighbours": 5, "style": "nano"}))
    assert plain.scores.measured == EMBEDDED


def test_the_nano_encoder_of_a_spec_serves_where_no_other_is_named(tmp_path: Path) -> None:
    (tmp_path / "own.safetensors").write_bytes(SHIPPED.read_bytes())
    own = scorer_settings(spec(tmp_path, encoder={"weights": "own.safetensors"}))
    assert own.style == own.subject == NanoSettings(weights=tmp_path / "own.safetensors")


def test_paths_start_at_the_spec_and_names_stay(tmp_path: Path) -> None:
    save_dinov2(tmp_path / "dinov2")
    found = spec(
        tmp_path,
        {"subject": {"kind": "dinov2", "model": "dinov2"}, "text": {"kind": "open_clip", "model": "ViT-B-32"}},
    ).scores
    assert found.model_dump()["subject"]["model"] == str(tmp_path / "dinov2")
    assert found.text is not None
    assert found.text.model == "ViT-B-32"


def test_every_model_and_every_evaluation_image_is_in_the_scoring_digest(tmp_path: Path) -> None:
    from PIL import Image

    save_dinov2(tmp_path / "dinov2")
    save_open_clip(tmp_path / "clip")
    (tmp_path / "bench").mkdir()
    Image.new("RGB", (40, 40), "red").save(tmp_path / "bench" / "a.png")
    keys: dict[str, Any] = {"subject": {"kind": "dinov2", "model": "dinov2"}, "evaluation": ["bench"]}
    keys["photorealism"] = {"kind": "open_clip", "model": "clip"}
    seen = {scoring_digest(spec(tmp_path)), scoring_digest(spec(tmp_path, keys))}
    assert scoring_digest(spec(tmp_path, {**keys, "subject": {**keys["subject"], "batch": 3}})) in seen
    seen.add(scoring_digest(spec(tmp_path, {**keys, "neighbours": 4})))
    seen.add(
        scoring_digest(spec(tmp_path, {**keys, "photorealism": {**keys["photorealism"], "artworks": ["a comic"]}}))
    )
    Image.new("RGB", (40, 40), "blue").save(tmp_path / "bench" / "a.png")
    seen.add(scoring_digest(spec(tmp_path, keys)))
    save_dinov2(tmp_path / "dinov2", seed=1)
    seen.add(scoring_digest(spec(tmp_path, keys)))
    assert len(seen) == 6


def test_what_cannot_be_used_is_said_before_anything_is_loaded(tmp_path: Path) -> None:
    nsfw = {"model": str(save_classifier(tmp_path / "nsfw")), "label": "nude"}
    with pytest.raises(ScoringError, match=r"scores\.nsfw: .*no label 'nude'; its labels are 'normal', 'nsfw'"):
        scoring_models(spec(tmp_path, {"nsfw": nsfw}))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ScoringError, match=r"scores\.evaluation: .*empty has no images"):
        scoring_digest(spec(tmp_path, {"evaluation": ["empty"]}))
    with pytest.raises(ScoringError, match=r"scores\.text: open_clip ViT-B-32: has no weights"):
        scoring_models(spec(tmp_path, {"text": {"kind": "open_clip", "model": "ViT-B-32"}}))
