"""A whole job on real artwork and a real Ray: what it commits, how it goes on, and what others read of it."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import duckdb
import pytest
import webdataset
import wids
from PIL import Image

from curation.job import Summary, run_job
from curation.report.build import write_report
from manifests.images import split_of
from manifests.records import EMBEDDED, ROLES
from manifests.store import Store
from manifests.verify import verify
from tests.system.jobs import small_spec

LIMIT = 60
pytestmark = pytest.mark.usefixtures("ray_local", "atelier")


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory, atelier: object, ray_local: None) -> tuple[Store, Summary]:
    assert atelier is not None
    assert ray_local is None
    folder = tmp_path_factory.mktemp("job")
    store = Store(folder / "store")
    return store, run_job(small_spec(folder), store, limit=LIMIT)


def contents(store: Store) -> dict[str, str]:
    """Return the sha256 of every shard by name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (store.root / "shards").glob("*.tar")}


def test_every_candidate_is_in_the_manifest_accepted_or_with_a_reason(job: tuple[Store, Summary]) -> None:
    store, summary = job
    rows = store.triplets.read().to_pylist()
    assert len(rows) == LIMIT * 2 == summary.progress.committed
    assert {row["accepted"] for row in rows} == {True, False}
    for row in rows:
        assert row["accepted"] == (not row["reasons"])
        assert (row["shard"] is not None) == row["accepted"]
        if row["accepted"]:
            assert all(row[column] is not None for column in EMBEDDED)
            assert {row["prompt"] == ""} == {row["layout"] == "preserved"}


def test_the_store_is_sound(job: tuple[Store, Summary]) -> None:
    verdict = verify(job[0])
    assert verdict.faults == []
    assert verdict.samples == job[1].progress.accepted > 20


def test_webdataset_reads_the_shards_and_every_member_has_the_sha256_of_the_manifest(
    job: tuple[Store, Summary],
) -> None:
    store, _ = job
    rows = {row["candidate_id"]: row for row in store.triplets.read().to_pylist() if row["accepted"]}
    urls = [str(path) for path in sorted((store.root / "shards").glob("*.tar"))]
    seen = 0
    for item in webdataset.WebDataset(urls, shardshuffle=False):
        row = rows[item["__key__"]]
        assert {role: hashlib.sha256(item[f"{role}.webp"]).hexdigest() for role in ROLES} == {
            role: row[f"{role}_id"] for role in ROLES
        }
        record = json.loads(item["json"])
        assert record["scores"]["style_leak"] == row["style_leak"]
        assert record["images"]["target"]["licence"] in row["licences"]
        assert "truth" not in record
        seen += 1
    assert seen == len(rows)


def test_wids_reads_the_index_as_pictures(job: tuple[Store, Summary], tmp_path: Path) -> None:
    store, summary = job
    dataset = wids.ShardListDataset(str(store.root / "index.json"), cache_dir=str(tmp_path))
    assert len(dataset) == summary.progress.accepted
    sample = dataset[0]
    assert {Image.open(sample[f".{role}.webp"]).size for role in ROLES} == {(64, 64)}


def test_duckdb_reads_the_tables(job: tuple[Store, Summary]) -> None:
    triplets, assets = job[0].triplets.dataset(), job[0].assets.dataset()
    assert triplets is not None
    assert assets is not None
    unlicensed = duckdb.sql(
        "select count(*) from triplets t left join assets a on a.ref_id = t.style_ref "
        "where t.accepted and (a.licence is null or a.attribution_url is null)"
    ).fetchall()
    assert unlicensed == [(0,)]


def test_heldout_subjects_lie_in_shards_of_their_own_and_are_never_shown_elsewhere(job: tuple[Store, Summary]) -> None:
    store, _ = job
    split_of_shard = {shard["name"]: shard["split"] for shard in store.committed_shards()}
    assert set(split_of_shard.values()) == {"train", "heldout"}
    for row in store.triplets.read().to_pylist():
        assert row["split"] == split_of(row["subject"])
        if row["style_subject"]:
            assert split_of(row["style_subject"]) == row["split"]
        if row["accepted"]:
            assert split_of_shard[row["shard"]] == row["split"]


def test_unspoiled_style_references_share_the_style_and_not_the_subject(job: tuple[Store, Summary]) -> None:
    store, _ = job
    styles = {row["ref_id"]: row["style"] for row in store.assets.read().to_pylist()}
    good = [row for row in store.triplets.read().to_pylist() if row["truth"] == "good" and row["style_ref"]]
    assert good
    for row in good:
        assert row["style_subject"] != row["subject"]
        assert styles[row["style_ref"]] == row["style"]


def test_the_same_spec_in_another_store_makes_the_same_bytes(job: tuple[Store, Summary], tmp_path: Path) -> None:
    other = Store(tmp_path / "other")
    run_job(small_spec(tmp_path), other, limit=LIMIT)
    assert other.committed_candidates() == job[0].committed_candidates()
    assert contents(other) == contents(job[0])
    assert other.head() == job[0].head()


def test_going_on_after_a_limit_makes_nothing_twice(tmp_path: Path) -> None:
    store, spec = Store(tmp_path / "store"), small_spec(tmp_path)
    run_job(spec, store, limit=13)
    again = run_job(spec, store, limit=13)
    assert (again.progress.committed, again.progress.committed_before) == (0, 26)
    more = run_job(spec, store, limit=20)
    assert (more.progress.committed, more.progress.committed_before) == (14, 26)
    ids = store.triplets.read(["candidate_id"])["candidate_id"].to_pylist()
    assert len(ids) == len(set(ids)) == 40
    assert verify(store).faults == []
    assert [row["status"] for row in store.jobs.read().to_pylist()] == ["finished"] * 3


def test_a_new_policy_makes_no_new_candidates(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    run_job(small_spec(tmp_path), store, limit=4)
    other = small_spec(tmp_path, policy=[{"column": "style_leak", "max": -1.0}])
    again = run_job(other, store, limit=4).progress
    assert (again.committed, again.other_policy) == (0, 8)


def test_the_report_is_one_file_with_pictures_thresholds_and_attributions(job: tuple[Store, Summary]) -> None:
    page = Path(write_report(job[0])).read_text()
    assert page.count("data:image/webp;base64,") > 20
    assert "https://github.com/googlefonts/noto-emoji" in page
    assert "copy_paste&gt;0.95" in page
    assert 'class="threshold"' in page
    assert 'src="http' not in page
    assert "<link" not in page
