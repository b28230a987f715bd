"""A whole job whose images are drawn in part: who made what, the same bytes again, and what a kill leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from curation.experts import expert_digests
from curation.job import run_job
from curation.report.build import write_report
from curation.sources.iconify import IconifySource
from curation.spec.model import JobSpec
from manifests.shards import read_samples
from manifests.store import Store
from manifests.verify import verify
from tests.system.jobs import small_spec, write_spec
from tests.system.test_cli import start_job, wait_for_commits
from tests.uso.conftest import build_pipeline

LIMIT = 24


@pytest.fixture(scope="module")
def experts(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = build_pipeline(tmp_path_factory.mktemp("pipeline"))
    keys = {
        "kind": "uso",
        "name": "tiny",
        "pipeline": str(folder),
        "lora": str(folder / "dit_lora.safetensors"),
        "text_length": 6,
        "size": 32,
        "steps": 1,
    }
    painter = {
        **keys,
        "projector": str(folder / "projector.safetensors"),
        "vision": str(folder / "vision"),
        "reference": "style",
        "new_subject": "picture",
        "share": 1,
    }
    return {"stylize": [{"kind": "retrieval", "share": 1}, painter], "destylize": [{"kind": "retrieval"}, keys]}


def lenient(folder: Path, experts: dict[str, Any]) -> JobSpec:
    """Return a small job that accepts whatever has all of its scores."""
    return small_spec(folder, experts=experts, policy=[])


@pytest.fixture(scope="module")
def job(
    tmp_path_factory: pytest.TempPathFactory, experts: dict[str, Any], atelier: IconifySource, ray_local: None
) -> tuple[JobSpec, Store]:
    del atelier, ray_local
    folder = tmp_path_factory.mktemp("job")
    spec, store = lenient(folder, experts), Store(folder / "store")
    run_job(spec, store, limit=LIMIT)
    return spec, store


def test_every_drawn_image_says_so_in_the_manifest_and_who_drew_it(job: tuple[JobSpec, Store]) -> None:
    spec, store = job
    assets = {row["ref_id"]: row for row in store.assets.read().to_pylist()}
    seen = set()
    for row in store.triplets.read().to_pylist():
        for role, image in (("stylize", "style"), ("destylize", "content")):
            if row[f"{image}_ref"] is None:
                continue
            position = expert_digests(spec, role).index(row[f"{role}_expert"])  # type: ignore[arg-type]
            asset = assets[row[f"{image}_ref"]]
            assert (asset["source"] == "generated") == (position == 1)
            seen.add((role, position))
            if position == 1:
                transform = json.loads(asset["transform"])
                assert transform["expert"] == row[f"{role}_expert"]
                assert transform["title"] == "tiny"
                assert asset["asset_id"] == row[f"{image}_id"]
                assert assets[row["target_ref"]]["licence"] in row["licences"]
                assert all(" AND " not in licence for licence in row["licences"])
                assert row["truth"] != "good"
    assert len(seen) == 4
    assert verify(store).faults == []


def test_shards_carry_how_an_image_was_drawn(job: tuple[JobSpec, Store]) -> None:
    _, store = job
    records = [
        json.loads(members["json"])
        for path in (store.root / "shards").glob("*.tar")
        for _, members in read_samples(path)
    ]
    drawn = [record["images"]["style"] for record in records if record["images"]["style"]["source"] == "generated"]
    assert drawn
    assert all(image["generated"]["kind"] == "generated" for image in drawn)
    taken = [record["images"]["style"] for record in records if record["images"]["style"]["source"] == "iconify"]
    assert taken
    assert not any("generated" in image for image in taken)


def test_the_report_tells_experts_apart(job: tuple[JobSpec, Store]) -> None:
    page = Path(write_report(job[1])).read_text()
    assert "Style references drawn by tiny" in page
    assert "Content references drawn by tiny" in page
    assert "drawn anew by an expert" in page


def test_another_order_of_work_makes_the_same_shards(
    job: tuple[JobSpec, Store], experts: dict[str, Any], tmp_path: Path
) -> None:
    other = Store(tmp_path / "other")
    stages = {"stylize": {"batch": 7}, "destylize": {"batch": 5}, "ingest": {"cpus": 0.5, "workers": [1, 1]}}
    run_job(small_spec(tmp_path, experts=experts, policy=[], stages=stages), other, limit=LIMIT)
    assert other.committed_shards() == job[1].committed_shards()


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_killed_job_goes_on_and_ends_with_the_same_shards(
    job: tuple[JobSpec, Store], experts: dict[str, Any], tmp_path: Path
) -> None:
    spec, killed = write_spec(tmp_path, experts=experts, policy=[]), Store(tmp_path / "killed")
    first = start_job(spec, killed.root, LIMIT)
    try:
        wait_for_commits(killed, 1, seconds=400)
    finally:
        first.kill()
        first.wait()
    again = start_job(spec, killed.root, LIMIT)
    _, errors = again.communicate(timeout=400)
    assert again.returncode == 0, errors
    assert killed.committed_shards() == job[1].committed_shards()
    assert verify(killed).faults == []
