"""A whole job that tries again what failed: every attempt in the manifest, none twice, whenever it is cut off."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import pytest

from curation.job import Progress, Summary, run_job
from curation.report.build import write_report
from manifests.store import Store
from manifests.verify import verify
from tests.system.jobs import small_spec, write_spec
from tests.system.test_cli import start_job, wait_for_commits

pytestmark = pytest.mark.usefixtures("ray_local", "atelier")

LIMIT = 20
ROUTES = [{"name": "again"}, {"name": "worded", "prompt": "one {subject}", "destylize": "plain"}]
CHANGES: dict[str, Any] = {
    "policy": [{"column": "style_similarity_csls", "min": 0.0}, {"column": "style_leak", "max": 0.7}],
    "attempts": {"most": 3, "routes": ROUTES},
    "experts": {"destylize": [{"kind": "retrieval"}, {"kind": "retrieval", "name": "plain", "share": 0}]},
}


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory, atelier: object, ray_local: None) -> tuple[Store, Summary]:
    assert atelier is not None
    assert ray_local is None
    folder = tmp_path_factory.mktemp("attempts")
    store = Store(folder / "store")
    return store, run_job(small_spec(folder, **CHANGES), store, limit=LIMIT)


def contents(store: Store) -> dict[str, str]:
    """Return the sha256 of every shard by name."""
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (store.root / "shards").glob("*.tar")}


def test_what_failed_is_tried_again_until_it_succeeds_or_attempts_run_out(job: tuple[Store, Summary]) -> None:
    rows = {row["candidate_id"]: row for row in job[0].triplets.read().to_pylist()}
    firsts = {key for key, row in rows.items() if row["attempt"] is None}
    assert len(firsts) == LIMIT * 2
    later = [row for row in rows.values() if row["attempt"] is not None]
    assert later
    for row in later:
        assert row["retries"] in firsts
        assert row["truth"] is None
        assert row["route"] == ROUTES[row["attempt"] - 1]["name"]
        assert (row["prompt"] == "") == (row["layout"] == "preserved")
    for first in firsts:
        tried = sorted((row for row in later if row["retries"] == first), key=lambda row: row["attempt"])
        assert [row["attempt"] for row in tried] == list(range(1, len(tried) + 1))
        outcomes = [row["accepted"] for row in [rows[first], *tried]]
        assert not any(outcomes[:-1])
        assert outcomes[-1] or len(tried) == 2 or rows[first]["reasons"][0].startswith(("duplicate_of:", "ingest:"))
    assert any(row["accepted"] for row in later)


def test_the_manifest_verifies_and_the_report_counts_by_route(job: tuple[Store, Summary]) -> None:
    store, summary = job
    assert verify(store).faults == []
    assert summary.progress.committed == store.triplets.read(["candidate_id"]).num_rows
    text = Path(write_report(store)).read_text()
    assert "Attempts and cost" in text
    assert "worded" in text


@pytest.mark.parametrize("after", [pytest.param(1, marks=pytest.mark.slow), 3, pytest.param(4, marks=pytest.mark.slow)])
def test_cut_off_anywhere_it_ends_with_the_same_attempts(
    job: tuple[Store, Summary], tmp_path: Path, after: int
) -> None:
    store = Store(tmp_path / "store")
    commits = 0

    def cut(progress: Progress) -> None:
        nonlocal commits
        if progress.committed and progress.phase == "curate":
            commits += 1
            if commits == after:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_job(small_spec(tmp_path, **CHANGES), store, limit=LIMIT, hook=cut)
    run_job(small_spec(tmp_path, **CHANGES), store, limit=LIMIT)
    ids = store.triplets.read(["candidate_id"])["candidate_id"].to_pylist()
    assert len(ids) == len(set(ids))
    assert store.committed_candidates() == job[0].committed_candidates()
    assert contents(store) == contents(job[0])
    assert verify(store).faults == []


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_killed_outright_in_a_further_attempt_it_ends_with_the_same_attempts(
    job: tuple[Store, Summary], tmp_path: Path
) -> None:
    spec, store = write_spec(tmp_path, **CHANGES), Store(tmp_path / "store")
    first = start_job(spec, store.root, LIMIT)
    try:
        wait_for_commits(store, 4, seconds=400)  # three make up the first attempts
    finally:
        first.kill()
        first.communicate()
    before = store.triplets.read(["candidate_id", "attempt"]).to_pylist()
    assert any(row["attempt"] for row in before)
    assert len(before) < job[0].triplets.read(["candidate_id"]).num_rows
    last = start_job(spec, store.root, LIMIT)
    _, errors = last.communicate(timeout=400)
    assert last.returncode == 0, errors
    ids = store.triplets.read(["candidate_id"])["candidate_id"].to_pylist()
    assert len(ids) == len(set(ids))
    assert set(ids) == job[0].committed_candidates()
    assert contents(store) == contents(job[0])
    assert verify(store).faults == []
