"""Stores that earlier releases wrote, two jobs each, kept as they were: they open, answer, verify and grow.

`stores/schema-1` is of before optional scores, judgements, attempts and times (commit 7944e71); `schema-2` of before
the table of judgements (9eefe78). Those releases' own `triptych curate run` wrote them, from real artwork.
"""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from manifests.audit.explain import CandidateStory, explain
from manifests.audit.explain_text import text_of
from manifests.audit.ledger import Ledger
from manifests.audit.query import query
from manifests.snapshot import Snapshot
from manifests.store import Store
from manifests.upkeep.compact import compact
from manifests.verify import verify
from tests.manifests.making import commit

STORES = Path(__file__).with_name("stores")
CANDIDATES = 16


@pytest.fixture(params=sorted(path.name for path in STORES.glob("*.tar.xz")))
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Store:
    with tarfile.open(STORES / request.param) as packed:
        packed.extractall(tmp_path / "store", filter="data")
    return Store(tmp_path / "store")


def test_it_opens_and_verifies(store: Store) -> None:
    assert len(store.committed_candidates()) == CANDIDATES
    assert len(store.links()) > 1
    assert verify(store).faults == []


def test_trainers_read_its_samples(store: Store) -> None:
    rows = Snapshot(store.root).samples(None, None, ["candidate_id", "attempt"])
    assert rows.num_rows == sum(store.triplets.read(["accepted"])["accepted"].to_pylist()) > 0
    assert set(rows["attempt"].to_pylist()) == {None}
    assert Snapshot(store.root).samples("attempt is null and aesthetic is null", None, ["candidate_id"]) == rows.select(
        ["candidate_id"]
    )
    assert Snapshot(store.root).samples("aesthetic > 5", None, ["candidate_id"]).num_rows == 0


def test_auditors_get_its_stories_and_ask_it_anything(store: Store) -> None:
    ledger = Ledger(store.root)
    for row in store.triplets.read(["candidate_id", "accepted", "reasons"]).to_pylist():
        story = explain(ledger, row["candidate_id"])
        assert isinstance(story, CandidateStory)
        told = text_of(story)
        assert ("accepted" if row["accepted"] else "rejected") in told.splitlines()[0]
        assert all(reason.partition(">")[0] in told for reason in row["reasons"])
    asked = query(ledger, "SELECT count(*) AS n, count(aesthetic) AS a, count(judge_style_match) AS j FROM triplets")
    assert asked.rows == [{"n": CANDIDATES, "a": 0, "j": 0}]


def test_it_takes_commits_of_this_release_and_is_compacted(store: Store) -> None:
    before = store.head()
    commit(store, ["dog"], rejected=("owl",))
    assert store.links()[-1].previous == before
    compact(store)
    grown = Store(store.root)
    assert len(grown.committed_candidates()) == CANDIDATES + 2
    assert verify(grown).faults == []
