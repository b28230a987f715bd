"""Many writers on one store, on disk and on a real S3 server: every candidate once, one chain, no crash that loses."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from manifests.shards import write_shard
from manifests.store import Store
from manifests.upkeep.compact import compact
from manifests.upkeep.gc import collect
from manifests.upkeep.vacuum import vacuum
from manifests.verify import verify
from tests.manifests.making import sample
from tests.system.seaweed import Seaweed
from tests.system.store_workers import (
    Root,
    animals,
    commit,
    commit_dying,
    commit_overlapping,
    compact_dying,
    dies,
    started,
    watch,
)

NOW = timedelta()


LONG_ON_S3 = pytest.mark.parametrize("root", ["disk", pytest.param("s3", marks=pytest.mark.slow)], indirect=True)


@pytest.fixture(params=["disk", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Root:
    """A place where there is no store yet."""
    if request.param == "disk":
        return tmp_path / "store"
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REQUEST_CHECKSUM_CALCULATION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in request.getfixturevalue("seaweed").environment().items():
        monkeypatch.setenv(name, value)
    return f"s3://data/{tmp_path.name}"


def assert_each_once(store: Store, names: set[str]) -> None:
    ids = store.triplets.read(["candidate_id"])["candidate_id"].to_pylist()
    assert len(ids) == len(set(ids))
    assert set(ids) == {sample(name).key for name in names}
    refs = store.assets.read(["ref_id"])["ref_id"].to_pylist()
    assert len(refs) == len(set(refs))
    verdict = verify(store)
    assert verdict.faults == []
    assert verdict.samples == len(names)


def no_orphan_in(store: Store) -> None:
    list(collect(store, grace=NOW))
    assert not list(collect(store, grace=NOW))
    tars = {found.name.removeprefix("shards/") for found in store.files.list("shards/") if found.name.endswith(".tar")}
    assert tars == {shard["name"] for shard in store.committed_shards()}
    assert not list(store.files.unfinished())


@LONG_ON_S3
def test_sixteen_writers_with_common_candidates_make_each_once(root: Root) -> None:
    """Each writer's batches overlap with those of its neighbours, and two writers of three have the same."""
    ready = threading.Barrier(16)

    def work(writer: int) -> tuple[int, int]:
        store = Store(root)
        ready.wait()
        done = [commit(store, animals(3 * (writer // 2) + 4 * batch)) for batch in range(2)]
        return sum(one.triplets.num_rows for one in done), sum(one.left_out for one in done)

    with ThreadPoolExecutor(16) as pool:
        results = list(pool.map(work, range(16)))
    names = {name for writer in range(16) for batch in range(2) for name in animals(3 * (writer // 2) + 4 * batch)}
    assert sum(made for made, _ in results) == len(names)
    assert sum(left_out for _, left_out in results) == 16 * 2 * 5 - len(names)
    store = Store(root)
    assert_each_once(store, names)
    no_orphan_in(store)
    assert_each_once(store, names)


def test_processes_race_as_threads_do(root: Root) -> None:
    jobs = [started(commit_overlapping, root, number) for number in (0, 0, 1, 2)]
    for job in jobs:
        job.join(240)
    assert [job.exitcode for job in jobs] == [0, 0, 0, 0]
    store = Store(root)
    names = {name for number in range(3) for batch in range(3) for name in animals(2 * number + 5 * batch)}
    ids = store.committed_candidates()
    assert ids == {sample(name).key for name in names | {f"reject {batch}" for batch in range(3)}}
    assert store.triplets.read(["candidate_id"]).num_rows == len(ids)
    assert verify(store).faults == []


def test_the_same_batch_twice_is_committed_once_and_the_loser_is_told(root: Root) -> None:
    first, second = Store(root), Store(root)
    assert second.head() == first.head()
    assert commit(first, animals(0)).left_out == 0
    lost = commit(second, animals(0))
    assert (lost.triplets.num_rows, lost.shards, lost.left_out) == (0, [], 5)
    assert second.triplets.version == 0
    assert_each_once(second, set(animals(0)))


def test_a_shard_with_candidates_of_another_job_is_written_again_without_them(root: Root) -> None:
    first, second = Store(root), Store(root)
    commit(first, animals(0))
    done = commit(second, animals(3), rejected=("animal 2", "eel"))
    assert (done.triplets.num_rows, done.left_out) == (4, 3)
    (shard,) = done.shards
    assert shard.offsets.keys() == {sample(name).key for name in animals(5, 3)}
    rows = second.triplets.read(["candidate_id", "shard", "offset"]).to_pylist()
    assert {row["candidate_id"]: row["offset"] for row in rows if row["shard"] == shard.name} == shard.offsets
    fresh = write_shard(first.files, [sample(name) for name in animals(5, 3)], split="train")
    assert fresh == shard, "it is what packing makes of the same samples"
    assert verify(first).faults == []
    assert len(list(collect(second, grace=NOW))) == 2, "the shard with common candidates, and its index"
    assert verify(first).faults == []


@LONG_ON_S3
def test_a_crash_between_any_two_steps_of_a_commit_is_made_good_by_the_next_writer(root: Root) -> None:
    commit(Store(root), animals(0))
    steps = 0
    while dies(commit_dying, root, animals(5 * steps + 3), steps):
        store = Store(root)
        assert verify(store).faults == []
        commit(store, animals(5 * steps + 3))
        assert_each_once(store, set(animals(0, 5 * steps + 8)))
        steps += 1
    assert steps >= 6
    no_orphan_in(Store(root))
    assert_each_once(Store(root), set(animals(0, 5 * steps + 8)))


@LONG_ON_S3
def test_a_crash_between_any_two_steps_of_a_compaction_is_made_good_by_the_next(root: Root) -> None:
    steps = 0
    while True:
        for number in range(3):
            commit(Store(root), animals(15 * steps + 5 * number))
        if not dies(compact_dying, root, steps):
            break
        assert_each_once(Store(root), set(animals(0, 15 * steps + 15)))
        steps += 1
    assert steps >= 5
    store = Store(root)
    compact(store, target=10**8)
    assert len(store.committed_shards()) == 1
    list(vacuum(store, older=NOW))
    no_orphan_in(store)
    assert_each_once(store, set(animals(0, 15 * steps + 15)))


def test_what_a_commit_asks_for_does_not_grow_with_the_store(root: Root) -> None:
    store = Store(root)
    asked: list[str] = []

    class Counting:
        def __getattr__(self, name: str) -> Any:
            call = getattr(files, name)
            return (lambda *words: (asked.append(name), call(*words))[1]) if callable(call) else call

    files = store.files
    watch(store, Counting())
    counts = []
    for number in range(24):
        asked.clear()
        commit(store, [f"one {number}"])
        counts.append(sorted(asked))
    assert counts[2] == counts[12] == counts[23]
    assert "list" not in counts[23]


def test_gc_spares_what_is_young_and_what_is_committed(root: Root) -> None:
    store = Store(root)
    commit(store, animals(0))
    store.files.put("shards/stray.tar", b"half a shard")
    store.files.put("tables/triplets/part-00000-lost.parquet", b"of a writer that came second")
    assert not list(collect(store))
    would = [one.name for one in collect(store, grace=NOW, dry_run=True)]
    assert would == ["shards/stray.tar", "tables/triplets/part-00000-lost.parquet"]
    assert [one.name for one in collect(store, grace=NOW)] == would
    assert not list(collect(store, grace=NOW))
    assert_each_once(store, set(animals(0)))


def test_gc_aborts_uploads_that_were_cut_off(seaweed: Seaweed, root: Root) -> None:
    store = Store(root)
    commit(store, animals(0))
    if isinstance(root, Path):
        (root / "shards" / ".0123.part").write_bytes(b"half a shard")
    else:
        prefix = root.removeprefix("s3://data/")
        seaweed.client().create_multipart_upload(Bucket="data", Key=f"{prefix}/shards/cut.tar")
    assert not list(collect(store))
    assert [one.why for one in collect(store, grace=NOW)] == ["a write that was cut off"]
    assert not list(store.files.unfinished())
    assert_each_once(store, set(animals(0)))


def test_upkeep_beside_jobs_that_write(root: Root) -> None:
    commit(Store(root), animals(0))
    stop = threading.Event()

    def keep_up() -> int:
        store, rounds = Store(root), 0
        while not stop.is_set() or not rounds:
            compact(store, target=10**8)
            list(vacuum(store, older=NOW))
            rounds += 1
        return rounds

    def job(number: int) -> None:
        store = Store(root)
        for batch in range(4):
            commit(store, animals(7 * number + 3 * batch + 5))

    with ThreadPoolExecutor(4) as pool:
        upkeep = [pool.submit(keep_up) for _ in range(2)]
        try:
            list(pool.map(job, range(2)))
        finally:
            stop.set()
        assert all(one.result() for one in upkeep)
    names = set(animals(0)) | {
        n for number in range(2) for batch in range(4) for n in animals(7 * number + 3 * batch + 5)
    }
    store = Store(root)
    assert_each_once(store, names)
    list(vacuum(store, older=NOW))
    no_orphan_in(store)
    assert_each_once(store, names)
