"""Upkeep changes where bytes lie and nothing else: rows, digests and images are the same before and after."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
import webdataset
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.files import open_writable
from manifests.moves import open_moved
from manifests.records import ROLES
from manifests.shard_joining import DamagedShardError, join
from manifests.shards import index_of, write_shard
from manifests.snapshot import Snapshot, SnapshotError
from manifests.store import Store
from manifests.upkeep.compact import compact
from manifests.upkeep.vacuum import vacuum
from manifests.verify import verify
from tests.manifests.making import sample
from tests.system.store_workers import animals, commit

NOW = timedelta()
LARGE = 10**9
COLUMNS = ["candidate_id", "shard", "offset"]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "store")
    for number in range(4):
        commit(made, animals(5 * number))
        commit(made, [f"held {number}"], split="heldout")
    made.write_index()
    return made


def images(snapshot: Snapshot, rows: pa.Table | None = None) -> dict[str, list[bytes]]:
    """Return the three images of each sample, read as a loader reads them: rows first, then ranges by the index."""
    read = {}
    for row in (rows or snapshot.samples(None, None, COLUMNS)).to_pylist():
        members = snapshot.shard_index(row["shard"]).members(row["candidate_id"])
        places = [members[f"{role}.webp"] for role in ROLES]
        name = f"shards/{row['shard']}"
        read[row["candidate_id"]] = [snapshot.files.read_range(name, place.offset, place.size) for place in places]
    return read


def expected() -> dict[str, list[bytes]]:
    made = [sample(name) for name in [*animals(0, 20), *(f"held {number}" for number in range(4))]]
    return {one.key: [one.images[role] for role in ROLES] for one in made}


def tars(store: Store) -> set[str]:
    return {found.name.removeprefix("shards/") for found in store.files.list("shards/") if found.name.endswith(".tar")}


def test_samples_are_the_same_for_readers_of_every_version_until_and_after_vacuum(store: Store) -> None:
    first, before = Snapshot(store.root, 3), Snapshot(store.root)
    rows = before.samples(None, None, COLUMNS)
    done = compact(store, target=LARGE)
    assert (done.shards_before, done.shards_after) == (8, 2)
    for opened in (before, Snapshot(store.root), Snapshot(store.root, before.version)):
        assert opened.samples(None, None, COLUMNS).equals(rows)
        assert images(opened) == expected()
    assert Snapshot(store.root, before.version).digest == before.digest
    assert images(first).keys() < expected().keys()
    assert verify(store).faults == []
    assert len(list(vacuum(store, older=NOW))) > 8
    assert tars(store) == {shard["name"] for shard in store.committed_shards()}
    assert images(before, rows) == expected(), "opened before, and read on after the vacuum"
    assert images(Snapshot(store.root)) == expected()
    with pytest.raises(SnapshotError, match="vacuumed"):
        Snapshot(store.root, 3).samples(None, None, COLUMNS)
    assert verify(store).faults == []


def test_of_two_compactions_at_once_one_merges_the_files_of_a_table(store: Store) -> None:
    """deltalake's own would both come through, and leave every row twice."""
    rows = store.triplets.read().num_rows
    with ThreadPoolExecutor(4) as pool:
        merged = list(pool.map(lambda _: Store(store.root).triplets.compact(), range(4)))
    assert sum(merged) == 8
    assert Store(store.root).triplets.read().num_rows == rows
    assert verify(Store(store.root)).faults == []


def test_splits_are_never_mixed_and_indexes_name_the_joined_shards(store: Store) -> None:
    compact(store, target=LARGE)
    held = {sample(f"held {number}").key for number in range(4)}
    for shard in store.committed_shards():
        read = webdataset.WebDataset(str(store.root / "shards" / shard["name"]), shardshuffle=False)
        keys = {item["__key__"] for item in read}
        assert keys == (held if shard["split"] == "heldout" else expected().keys() - held)
    for split, count in (("train", 20), ("heldout", 4)):
        (listed,) = webdataset_index(store, split)
        assert listed["nsamples"] == count


def webdataset_index(store: Store, split: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads((store.root / f"index-{split}.json").read_text())["shardlist"]
    return found


def test_what_was_joined_is_joined_again_with_what_came_after(store: Store) -> None:
    compact(store, target=LARGE)
    commit(store, animals(20))
    compact(store, target=LARGE)
    list(vacuum(store, older=NOW))
    assert len(tars(store)) == 2
    assert images(Snapshot(store.root)).keys() == expected().keys() | {sample(name).key for name in animals(20)}
    assert verify(store).faults == []
    head = store.head()
    assert compact(store, target=LARGE).shards_before == 0
    assert store.head() == head, "nothing to join, nothing committed"


def test_shards_grow_up_to_the_target_and_large_ones_are_left(store: Store) -> None:
    size = max(shard["bytes"] for shard in store.committed_shards())
    compact(store, target=int(2.5 * size))
    after = store.committed_shards()
    assert all(shard["bytes"] <= 2.5 * size for shard in after)
    assert verify(store).faults == []


def test_vacuum_spares_what_was_replaced_a_short_while_ago(store: Store) -> None:
    compact(store, target=LARGE)
    there = tars(store)
    assert list(vacuum(store)) == []
    would = {one.name for one in vacuum(store, older=NOW, dry_run=True)}
    assert len([name for name in would if name.endswith(".tar")]) == 8
    assert tars(store) == there


def test_vacuum_deletes_nothing_where_the_joined_shard_is_gone(store: Store) -> None:
    compact(store, target=LARGE)
    there = tars(store)
    joined = store.committed_shards()[0]["name"]
    (store.root / "shards" / joined).unlink()
    with pytest.raises(OSError, match="is not there in full; nothing more is deleted"):
        list(vacuum(store, older=NOW))
    assert tars(store) >= there - {joined} - {
        part["shard"] for shard in store.committed_shards() if shard["name"] != joined for part in shard["parts"]
    }


def test_a_damaged_sample_stops_its_compaction(store: Store) -> None:
    shard = store.committed_shards()[0]["name"]
    path = store.root / "shards" / shard
    data = bytearray(path.read_bytes())
    data[600] ^= 1
    path.write_bytes(data)
    there = tars(store)
    with pytest.raises(DamagedShardError, match=f"{shard}: has other bytes than its index says"):
        compact(store, target=LARGE)
    assert tars(store) <= there | {one["name"] for one in store.committed_shards()}


def test_damage_to_a_shard_that_was_replaced_and_to_the_joined_one_is_found(store: Store) -> None:
    compact(store, target=LARGE)
    joined = store.committed_shards()[0]
    for name in (joined["name"], joined["parts"][0]["shard"]):
        path = store.root / "shards" / name
        whole = path.read_bytes()
        path.write_bytes(whole[:600] + bytes([whole[600] ^ 1]) + whole[601:])
        assert any(name in fault and "other bytes" in fault for fault in verify(store).faults)
        path.write_bytes(whole)
    assert verify(store).faults == []


def test_a_range_that_no_joined_shard_holds_is_missing(store: Store) -> None:
    compact(store, target=LARGE)
    list(vacuum(store, older=NOW))
    gone = store.committed_shards()[0]["parts"][0]
    files = open_moved(store.root)
    assert len(files.read_range(f"shards/{gone['shard']}", gone["start"], gone["bytes"])) == gone["bytes"]
    for name, offset in ((gone["shard"], gone["start"] + gone["bytes"]), ("never.tar", 0)):
        with pytest.raises(FileNotFoundError):
            files.read_range(f"shards/{name}", offset, 10)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.lists(st.integers(0, 60), min_size=1, max_size=6, unique=True), min_size=1, max_size=5), st.data())
def test_a_joined_shard_is_a_tar_with_a_right_index_and_parts(
    tmp_path_factory: pytest.TempPathFactory, groups: list[list[int]], data: st.DataObject
) -> None:
    files = open_writable(tmp_path_factory.mktemp("joined"))
    seen: set[int] = set()
    fresh = [[n for n in group if n not in seen and not seen.add(n)] for group in groups]  # type: ignore[func-returns-value]
    shards = [write_shard(files, [sample(f"{n}") for n in group], split="train") for group in fresh if group]
    kept = data.draw(st.sets(st.sampled_from(sorted(seen)), min_size=1))
    joined = join(files, [shard.name for shard in shards], split="train", keep={sample(f"{n}").key for n in kept})
    whole = files.read(f"shards/{joined.shard.name}")
    index = index_of(whole, name=joined.shard.name, split="train")
    assert {entry["key"] for entry in index["samples"]} == {sample(f"{n}").key for n in kept}
    assert (index["sha256"], index["bytes"]) == (joined.shard.sha256, joined.shard.bytes)
    for part in joined.parts:
        old = files.read_range(f"shards/{part.shard}", part.start, part.bytes)
        assert whole[part.at : part.at + part.bytes] == old
    assert sum(part.bytes for part in joined.parts) <= len(whole)
    if len(shards) == 1:
        alone = write_shard(files, [sample(f"{n}") for n in kept], split="train")
        assert alone == joined.shard, "samples of one shard give the bytes that packing them gives"
