"""Whoever can read a store sees what it holds and which jobs are at work on it."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from deltalake import DeltaTable
from rich.console import Console

from curation.cli.status import picture
from curation.heartbeat import Beat, StageBeat
from curation.status import Status, Watch
from manifests.store import Store
from tests.manifests.making import commit, sample


def beat(job: str, *, ago: float, phase: str = "curate") -> Beat:
    now = datetime.now(UTC)
    return Beat(
        job_id=job,
        name="small",
        host="node-1",
        process=7,
        submission=None,
        started=now - timedelta(minutes=3),
        time=now - timedelta(seconds=ago),
        every=5,
        phase=phase,
        counts={"committed": 12, "committed_before": 8, "candidates": 40, "spilled_mb": 3},
        reasons={},
        stages={"score": StageBeat(rows=20, waiting=4, workers=2, loading=0, per_second=1.5)},
    )


def shown(status: Status) -> str:
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(picture(status))
    return console.export_text()


def nothing(_store: Store) -> None:
    """A store that is left alone."""


def merge(store: Store) -> None:
    store.triplets.compact()


def merge_and_vacuum(store: Store) -> None:
    store.triplets.compact()
    store.triplets.vacuum(timedelta(0), dry_run=False)


def delete(store: Store) -> None:
    DeltaTable(store.triplets.place).delete(f"candidate_id = '{sample('a').key}'")


def test_a_store_that_nobody_has_written_to_holds_nothing(tmp_path: Path) -> None:
    status = Watch(Store(tmp_path)).look()
    assert (status.committed.candidates, status.running, status.last) == (0, [], None)
    assert "no job is at work" in shown(status)


def test_what_was_committed_since_is_seen_at_the_next_look(tmp_path: Path) -> None:
    store = Store(tmp_path)
    watch = Watch(store)
    commit(store, ["a", "b"], rejected=("c",))
    first = watch.look().committed
    assert (first.candidates, first.accepted, first.shards) == (3, 2, 1)
    assert first.bytes > 0
    commit(store, ["d"], rejected=("e",))
    second = watch.look().committed
    assert (second.candidates, second.accepted, second.shards) == (5, 3, 2)
    assert sum(second.reasons.values()) == 2
    assert (first.candidates, sum(first.reasons.values())) == (3, 1)


@pytest.mark.parametrize("upkeep", [nothing, merge, merge_and_vacuum, delete])
def test_whatever_came_between_it_says_what_a_first_look_says(
    tmp_path: Path, upkeep: Callable[[Store], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    store = Store(tmp_path)
    commit(store, ["a", "b"], rejected=("c",))
    watch = Watch(store)
    watch.look()
    commit(store, ["d"], rejected=("e",))
    commit(store, ["f"])
    upkeep(store)
    read = []
    batches = store.triplets.batches
    monkeypatch.setattr(store.triplets, "batches", lambda columns: read.append(columns) or batches(columns))
    assert watch.look().committed == Watch(Store(tmp_path)).look().committed
    assert bool(read) is (upkeep in (merge_and_vacuum, delete)), (
        "what was counted before is read again only where it went"
    )


def test_a_running_job_is_told_from_one_that_was_killed(tmp_path: Path) -> None:
    store = Store(tmp_path)
    for one in (beat("alive", ago=2), beat("gone", ago=600)):
        store.files.put(f"jobs/{one.job_id}.json", one.model_dump_json().encode())
    status = Watch(store).look()
    assert [one.job_id for one in status.running] == ["alive"]
    assert [one.job_id for one in status.silent] == ["gone"]
    text = shown(status)
    assert "small (alive) on node-1: curating candidates, 20 of 40 candidates" in text
    assert "3 MB spilled to disk" in text
    assert "no sign of life from node-1 for 10 min" in text
    assert status.to_json()["running"][0]["stages"]["score"]["per_second"] == 1.5
