"""Images that were taken down do not come back by a job: neither as targets nor as references."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from curation.job import run_job
from manifests.identities import asset_id
from manifests.records import ROLES
from manifests.snapshot import Snapshot
from manifests.store import Store
from manifests.takedown.run import take_down
from manifests.takedown.wanted import Wanted
from manifests.verify import verify
from tests.manifests.takedown.traces import traces
from tests.system.jobs import small_spec

LIMIT = 24
pytestmark = pytest.mark.usefixtures("ray_local", "atelier")


def images(store: Store, row: dict[str, Any]) -> dict[str, bytes]:
    """Return the images of a sample by role."""
    snapshot = Snapshot(store.root)
    members = snapshot.shard_index(row["shard"]).members(row["candidate_id"])
    places = {role: members[f"{role}.webp"] for role in ROLES}
    name = f"shards/{row['shard']}"
    return {role: snapshot.files.read_range(name, place.offset, place.size) for role, place in places.items()}


def test_the_same_job_again_is_refused_what_was_taken_down(tmp_path: Path) -> None:
    spec, store = small_spec(tmp_path), Store(tmp_path / "store")
    run_job(spec, store, limit=LIMIT)
    rows = [row for row in store.triplets.read().to_pylist() if row["accepted"]]
    first = rows[0]
    other = next(row for row in rows if row["style_id"] != first["style_id"] and row["target_id"] != first["target_id"])
    gone = [images(store, first)["target"], images(store, other)["style"]]
    ids = [asset_id(data) for data in gone]
    assert ids == [first["target_id"], other["style_id"]]
    assert traces(store.root, [*gone, *(one.encode() for one in ids)])
    take_down(store, Wanted(assets=ids))
    assert traces(store.root, [*gone, *(one.encode() for one in ids)]) == []
    assert verify(Store(store.root)).faults == []

    again = run_job(spec, Store(store.root), limit=LIMIT)
    found = {row["candidate_id"]: row for row in Store(store.root).triplets.read().to_pylist()}
    refused = [row for row in found.values() if "ingest:taken_down" in row["reasons"]]
    assert first["target_ref"] in {row["target_ref"] for row in refused}
    assert "ingest:taken_down" in found[other["candidate_id"]]["reasons"]
    assert not any(row["accepted"] for row in refused)
    assert again.progress.refused >= 1
    assert again.progress.reasons["ingest:taken_down"] == len(refused)
    assert traces(store.root, [*gone, *(one.encode() for one in ids)]) == []
    assert verify(Store(store.root)).faults == []
    assert run_job(spec, Store(store.root), limit=LIMIT).progress.committed == 0, "it does not try again and again"
