"""A whole job whose scores are measured by models of one's own, in a real Ray actor, with every optional score."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from curation.gallery import Gallery
from curation.graph.encoding import decode_stored
from curation.job import run_job
from curation.policy.labels import COLUMNS, label, scored, to_labelled
from curation.policy.redecide import COLUMNS as DECIDED
from curation.policy.redecide import compare
from curation.policy.rules import Policy
from curation.report.build import write_report
from curation.scoring import scorer_settings, scoring_digest
from curation.spec.model import JobSpec
from manifests.records import EMBEDDED, OPTIONAL, ROLES
from manifests.store import Store
from tests.system.jobs import small_spec
from tests.workers.towers.making import (
    released_csd,
    save_aesthetic_head,
    save_classifier,
    save_dinov2,
    save_open_clip,
    save_sscd,
)
from uso.training.reward.csd import convert_released
from workers.towers.load import build_tower

pytestmark = [
    pytest.mark.usefixtures("ray_local", "atelier"),
    pytest.mark.filterwarnings("ignore:`torch.jit"),
]
LIMIT = 16


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    released_csd(folder / "released.pth")
    convert_released(folder / "released.pth", folder / "csd.safetensors")
    save_dinov2(folder / "dinov2")
    save_open_clip(folder / "clip")
    save_sscd(folder / "sscd.torchscript.pt")
    save_aesthetic_head(folder / "head.pth")
    save_classifier(folder / "nsfw")
    save_classifier(folder / "watermark", ("clean", "watermark"), seed=1)
    return folder


@pytest.fixture(scope="module")
def spec(models: Path, tmp_path_factory: pytest.TempPathFactory, atelier: object) -> JobSpec:
    assert atelier is not None
    folder = tmp_path_factory.mktemp("spec")
    clip = {"kind": "open_clip", "model": str(models / "clip")}
    scores: dict[str, Any] = {
        "bank": 32,
        "neighbours": 5,
        "style": {"kind": "csd", "weights": str(models / "csd.safetensors")},
        "subject": {"kind": "dinov2", "model": str(models / "dinov2")},
        "text": clip,
        "photorealism": clip,
        "aesthetic": {"kind": "laion", "head": str(models / "head.pth"), "clip": clip},
        "copies": {"kind": "sscd", "weights": str(models / "sscd.torchscript.pt"), "side": 64},
        "nsfw": {"model": str(models / "nsfw"), "label": "nsfw"},
        "watermark": {"model": str(models / "watermark"), "label": "watermark"},
        "faces": "cascade",
        "evaluation": [str(folder / "bench")],
    }
    plain = small_spec(folder)
    gallery = Gallery(plain.sources, plain.painters(), size=64, limits=plain.limits)
    (folder / "bench" / "inner").mkdir(parents=True)
    ref = gallery.styled(gallery.styles()[0], "train")[0]
    Image.fromarray(gallery.load(ref).pixels).save(folder / "bench" / "inner" / "kept.png")
    return small_spec(folder, scores=scores, policy=[{"column": "nsfw", "max": 0.999}])


@pytest.fixture(scope="module")
def store(spec: JobSpec, tmp_path_factory: pytest.TempPathFactory, ray_local: None) -> Store:
    assert ray_local is None
    made = Store(tmp_path_factory.mktemp("scored") / "store")
    run_job(spec, made, limit=LIMIT)
    return made


def test_every_score_is_measured_or_has_no_meaning(store: Store, spec: JobSpec) -> None:
    rows = store.triplets.read().to_pylist()
    assert len(rows) == 2 * LIMIT
    made = [row for row in rows if row["target_id"] and row["content_id"] and row["style_id"]]
    assert len(made) > LIMIT
    for row in made:
        assert not [reason for reason in row["reasons"] if reason.startswith("scorer_failed")]
        absent = {column for column in (*EMBEDDED, *OPTIONAL) if row[column] is None}
        assert absent == (set() if row["prompt"] else {"text_alignment"})
        assert 0 <= row["nsfw"] <= 1
        assert 0 <= row["watermark"] <= 1
        assert row["contaminates"] == "bench/inner/kept.png"
        assert row["faces"] == int(row["faces"])
    assert {row["scoring_digest"] for row in rows} == {scoring_digest(spec)}
    assert {bool(row["prompt"]) for row in made} == {True, False}


def test_scores_are_those_of_the_models_on_the_stored_images(store: Store, spec: JobSpec) -> None:
    settings = scorer_settings(spec)
    csd, dinov2 = build_tower(settings.style), build_tower(settings.subject)
    assert settings.text is not None
    clip: Any = build_tower(settings.text)
    accepted = [row for row in store.triplets.read().to_pylist() if row["accepted"] and row["prompt"]]
    assert accepted
    for row in accepted[:4]:
        with (store.root / "shards" / row["shard"]).open("rb") as file:
            data = file.read()
        images = {role: _member(data, f"{row['candidate_id']}.{role}.webp") for role in ROLES}
        trio = [images["target"], images["style"], images["content"]]
        style, subject = csd.embed(trio, "style"), dinov2.embed(trio)
        assert row["style_similarity"] == pytest.approx(float(style[0] @ style[1]), abs=2e-4)
        assert row["destylization"] == pytest.approx(1 - float(style[0] @ style[2]), abs=2e-4)
        assert row["style_leak"] == pytest.approx(float(subject[0] @ subject[1]), abs=2e-4)
        assert row["subject_consistency"] == pytest.approx(float(subject[0] @ subject[2]), abs=2e-4)
        cosine = float(clip.embed(trio[:1])[0] @ clip.embed_texts([row["prompt"]])[0])
        assert row["text_alignment"] == pytest.approx(cosine, abs=2e-4)


def _member(shard: bytes, name: str) -> np.ndarray:
    import io
    import tarfile

    with tarfile.open(fileobj=io.BytesIO(shard)) as archive:
        member = archive.extractfile(name)
        assert member is not None
        return decode_stored(member.read())


def test_calibration_policy_and_report_take_what_was_measured(store: Store) -> None:
    pairs = label(scored(store.triplets.read(COLUMNS)), None)
    data = to_labelled(pairs)
    assert set(data.scores) == {*EMBEDDED, *OPTIONAL}
    columns = {bound.column for bound in data.bounds()}
    assert set(OPTIONAL) <= columns
    strict = Policy.model_validate({"rules": [{"column": "watermark", "max": 0.0}]})
    comparison = compare(store.triplets.read(DECIDED), strict)
    assert comparison.accepted_before > comparison.accepted_after == 0
    assert comparison.unmeasured == []
    page = Path(write_report(store)).read_text()
    assert "text and image embeddings of prompt and target" in page
    assert "similarity of the target to the nearest evaluation image" in page


def test_a_node_with_other_weights_is_found_out(spec: JobSpec, models: Path) -> None:
    from curation.context import reference_bank, score_stage

    bank = reference_bank(spec)
    kept = (models / "dinov2" / "model.safetensors").read_bytes()
    try:
        save_dinov2(models / "dinov2", seed=7)
        with pytest.raises(RuntimeError, match="the files behind subject on this node are not those"):
            score_stage(spec, bank)
    finally:
        (models / "dinov2" / "model.safetensors").write_bytes(kept)
