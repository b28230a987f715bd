"""Experts in a spec: one or several a role, who serves which candidate, and what is refused before any work."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from curation.candidates import Digests, IngestedTarget, propose, retrieved_roles
from curation.experts import ExpertError, describe_experts, expert_digests
from curation.spec.experts import UsoDestylizeSpec, UsoStylizeSpec
from curation.spec.load import load_spec
from curation.spec.model import JobSpec
from manifests.images import ImageRef
from manifests.yaml_file import YamlError
from tests.uso.conftest import build_pipeline
from uso.nano.family import family_folder
from workers.experts.base import EXPERT_ROLES
from workers.experts.choice import choose_expert
from workers.experts.faults import SPOILED_BY, Fault


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_pipeline(tmp_path_factory.mktemp("pipeline"))


def spec(**keys: Any) -> JobSpec:
    return JobSpec.model_validate({"name": "t", "sources": [{"kind": "iconify"}], **keys})


def drawing(folder: Path | str, **changes: Any) -> dict[str, Any]:
    keys = {"lora": f"{folder}/dit_lora.safetensors", "text_length": 6, "size": 32, "steps": 1}
    return {"kind": "uso", "pipeline": str(folder), **keys, **changes}


def test_specs_of_before_keep_their_candidates() -> None:
    """These digests were computed by the version before there were experts that draw."""
    assert spec().generation_digest == "904115cc4eb1d51a9752a1a2fd1f30ad"
    older = spec(experts={"destylize": {"min_overlap": 0.4}}, faults={"share": 0.2})
    assert older.generation_digest == "943ba2f9d70b589669fa4421c1b36b99"
    listed = spec(experts={"destylize": [{"kind": "retrieval", "share": 7, "min_overlap": 0.4}]}, faults={"share": 0.2})
    assert listed.generation_digest == older.generation_digest


def test_shares_and_weights_make_new_candidates_and_batches_and_names_do_not(pipeline: Path, tmp_path: Path) -> None:
    def digest(*entries: dict[str, Any]) -> str:
        return spec(experts={"destylize": list(entries)}).generation_digest

    half = digest({"kind": "retrieval"}, drawing(pipeline))
    assert half == digest({"kind": "retrieval", "share": 3}, drawing(pipeline, share=3, batch=9, name="x"))
    lora = tmp_path / "dit_lora.safetensors"
    lora.write_bytes((pipeline / "dit_lora.safetensors").read_bytes())
    assert half == digest({"kind": "retrieval"}, drawing(pipeline, lora=str(lora)))
    data = bytearray(lora.read_bytes())
    data[-1] ^= 1
    lora.write_bytes(data)
    others = [
        digest({"kind": "retrieval"}, drawing(pipeline, lora=str(lora))),
        digest({"kind": "retrieval"}, drawing(pipeline, steps=2)),
        digest({"kind": "retrieval"}, drawing(pipeline, share=2)),
        digest(drawing(pipeline)),
    ]
    assert len({half, *others}) == 5


def test_a_candidate_always_draws_the_same_expert_and_shares_are_kept() -> None:
    shares = spec(experts={"stylize": [{"share": 3}, {"share": 1, "min_overlap": 0.5}]}).experts.shares("stylize")
    assert shares == [0.75, 0.25]
    drawn = [choose_expert(f"candidate {n}", "stylize", shares) for n in range(4000)]
    assert Counter(drawn)[0] / 4000 == pytest.approx(0.75, abs=0.02)
    assert drawn == [choose_expert(f"candidate {n}", "stylize", shares) for n in range(4000)]
    other = [choose_expert(f"candidate {n}", "destylize", shares) for n in range(4000)]
    assert sum(a == b for a, b in zip(drawn, other, strict=True)) / 4000 == pytest.approx(0.625, abs=0.03)


def test_an_expert_for_routes_alone_serves_no_candidate_and_makes_no_new_ones(pipeline: Path) -> None:
    plain = spec(experts={"destylize": {"min_overlap": 0.4}})
    routed = spec(experts={"destylize": [{"min_overlap": 0.4}, drawing(pipeline, name="second", share=0)]})
    assert routed.generation_digest == plain.generation_digest
    assert routed.experts.shares("destylize") == [1, 0]
    assert routed.experts.names("destylize") == [None, "second"]
    last = [0.1] * 10 + [0.0]
    assert max(choose_expert(f"candidate {n}", "destylize", last) for n in range(500)) < 10
    with pytest.raises(ValidationError, match="two experts are named 'second'"):
        spec(experts={"stylize": [{"name": "second"}, {"name": "second", "min_overlap": 0.1}]})


def test_a_plan_counts_what_endpoints_cost_and_asks_none() -> None:
    paid = {"kind": "http", "base_url": "http://127.0.0.1:9/v1", "model": "m", "price": 0.04, "share": 3}
    experts = spec(experts={"stylize": paid, "destylize": [paid, {"kind": "retrieval", "share": 1}]}).experts
    assert experts.price() == pytest.approx(0.04 + 0.03)
    free = experts.unpaid()
    assert {entry.kind for role in EXPERT_ROLES for entry in free.of(role)} == {"retrieval"}
    assert free.shares("destylize") == experts.shares("destylize")
    assert spec().experts.price() == 0


def test_faults_are_given_to_what_retrieval_makes_and_of_drawn_images_nothing_is_known(pipeline: Path) -> None:
    job = spec(
        experts={"destylize": [{"kind": "retrieval"}, drawing(pipeline)]}, faults={"share": 0.6}, layouts={"shifted": 4}
    )
    refs = [ImageRef(source="s", locator=f"l{n}", fingerprint="1", subject=f"s{n}", family="f") for n in range(120)]
    targets = [IngestedTarget(ref, ref.locator, ref.locator) for ref in refs]
    kinds: dict[bool, Counter[str | None]] = {True: Counter(), False: Counter()}
    for row in propose(targets, job, Digests("g", "s", "p")):
        known = retrieved_roles(job.experts, row["candidate_id"])
        kinds["destylize" in known][row["truth"]] += 1
        assert row["fault"] is None or SPOILED_BY[Fault(row["fault"])] in known
    assert {kind for kind in kinds[False] if kind} == {"wrong_style", "style_shows_subject"}
    assert kinds[False][None] > 100
    assert kinds[True][None] == 0
    assert kinds[True]["good"] > 50
    assert kinds[True]["wrong_subject"] > 10


def test_experts_are_described_without_being_loaded(pipeline: Path) -> None:
    job = spec(experts={"destylize": [{"kind": "retrieval", "share": 3}, drawing(pipeline, name="tiny")]})
    described = describe_experts(job)
    assert [described[digest]["title"] for digest in expert_digests(job, "destylize")] == ["retrieval", "tiny"]
    assert [described[digest]["share"] for digest in expert_digests(job, "destylize")] == [0.75, 0.25]
    assert sum(expert["draws"] for expert in described.values()) == 1
    absent = spec(experts={"stylize": drawing("nobody/nothing", lora=None)})
    with pytest.raises(ExpertError, match=r"experts.stylize\[0\]: nobody/nothing: cannot be loaded"):
        expert_digests(absent, "stylize")


def test_places_start_at_the_spec_or_are_those_of_the_family_that_ships(
    pipeline: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "weights").symlink_to(pipeline)
    (tmp_path / "family").mkdir()
    (tmp_path / "family" / "pipeline").symlink_to(pipeline)

    def written(place: str, **more: str) -> Path:
        lora = {"lora": "weights/dit_lora.safetensors", **more}
        keys = {"name": "t", "sources": [{"kind": "iconify"}], "experts": {"stylize": drawing(place, **lora)}}
        path = tmp_path / "job.yaml"
        path.write_text(yaml.safe_dump(keys))
        return path

    here = load_spec(written("weights")).experts.stylize[0]
    assert (here.pipeline, here.lora) == (  # type: ignore[union-attr]
        str(tmp_path / "weights"),
        tmp_path / "weights/dit_lora.safetensors",
    )
    (tmp_path / "nano").mkdir()  # as there is one beside the demo's spec
    assert load_spec(written("weights", vision="nano")).experts.stylize[0].vision == "nano"  # type: ignore[union-attr]
    monkeypatch.setattr("uso.nano.family.FAMILY", tmp_path / "family")
    shipped = load_spec(written("{nano}/pipeline")).experts.stylize[0]
    assert shipped.pipeline == str(tmp_path / "family/pipeline")  # type: ignore[union-attr]
    monkeypatch.setattr("uso.nano.family.FAMILY", tmp_path / "gone")
    with pytest.raises(YamlError, match=r"experts: .*the nano family is not there"):
        load_spec(written("{nano}/pipeline"))


def test_the_experts_that_ship_are_one_word_in_a_spec(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    named = spec(experts={"stylize": {"kind": "nano", "steps": 3}, "destylize": {"kind": "nano"}}).experts
    stylizer, destylizer = named.stylize[0], named.destylize[0]
    assert isinstance(stylizer, UsoStylizeSpec)
    assert isinstance(destylizer, UsoDestylizeSpec)
    assert (stylizer.reference, stylizer.new_subject, stylizer.steps) == ("style", "picture", 3)
    assert (destylizer.reference, destylizer.projector) == ("content", None)
    assert stylizer.lora == family_folder() / "stylize/dit_lora.safetensors"
    monkeypatch.setattr("uso.nano.family.FAMILY", tmp_path / "gone")
    with pytest.raises(ValidationError, match="the nano family is not there"):
        spec(experts={"stylize": {"kind": "nano"}})


@pytest.mark.parametrize(
    ("role", "changes", "complaint"),
    [
        ("stylize", {"share": 0}, "experts.stylize: no expert has a share above 0"),
        ("stylize", {"stepz": 3}, "experts.stylize[0].stepz: unknown key"),
        ("stylize", {"kind": "uno"}, "experts.stylize[0]: "),
        ("stylize", {"pipeline": "gone"}, "experts.stylize[0]: pipeline: gone is neither a folder nor a hub name"),
        ("stylize", {"reference": "style"}, "experts.stylize[0]: reference: style needs projector and vision too"),
        ("destylize", {"new_subject": "picture"}, "experts.destylize[0].new_subject: unknown key"),
        ("destylize", {"lora": "gone.safetensors"}, "experts.destylize[0].lora: gone.safetensors does not exist"),
        ("destylize", {"projector": "dit_lora.safetensors"}, "experts.destylize[0]: "),
    ],
)
def test_a_bad_expert_is_refused_before_any_work_and_the_key_is_named(
    pipeline: Path, tmp_path: Path, role: str, changes: dict[str, Any], complaint: str
) -> None:
    if changes.get("projector"):
        changes = {"projector": str(pipeline / changes["projector"])}
    path = tmp_path / "job.yaml"
    experts = {role: [drawing(pipeline, **changes)]}
    path.write_text(yaml.safe_dump({"name": "t", "sources": [{"kind": "iconify"}], "experts": experts}))
    with pytest.raises(YamlError) as refused:
        load_spec(path)
    assert complaint in str(refused.value)


def test_the_name_of_drawn_images_is_no_name_for_a_source() -> None:
    with pytest.raises(ValueError, match="'generated' is kept"):
        spec(sources=[{"kind": "iconify", "name": "generated"}])
