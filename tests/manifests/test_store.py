"""What is committed can be read by others, is found unsound when it is tampered with, and is never written by two."""

import json
from pathlib import Path

import duckdb
import pytest
import wids
from deltalake import DeltaTable

from manifests.arrow_schema import to_table
from manifests.chain import GENESIS
from manifests.records import Asset
from manifests.store import Store
from manifests.verify import verify
from tests.manifests.making import commit, sample


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "store")
    commit(made, ["cat", "dog"], rejected=("eel",))
    commit(made, ["fox", "gnu", "hen"])
    return made


def test_a_sound_store_is_found_sound(store: Store) -> None:
    verdict = verify(store)
    assert verdict.faults == []
    assert (verdict.shards, verdict.samples, verdict.candidates) == (2, 5, 6)


def test_each_commit_names_the_one_before(store: Store) -> None:
    chain = [c for c in store.triplets.history() if "triptych.digest" in c]
    assert chain[0]["triptych.previous"] == GENESIS
    assert chain[1]["triptych.previous"] == chain[0]["triptych.digest"]
    assert store.head() == chain[1]["triptych.digest"]


def test_a_changed_byte_is_found(store: Store) -> None:
    shard = store.root / "shards" / store.committed_shards()[0]["name"]
    data = bytearray(shard.read_bytes())
    data[600] ^= 1
    shard.write_bytes(data)
    assert any("other bytes" in fault for fault in verify(store).faults)


def test_a_missing_shard_is_found(store: Store) -> None:
    (store.root / "shards" / store.committed_shards()[0]["name"]).unlink()
    assert any("missing" in fault for fault in verify(store).faults)


def test_a_row_changed_in_the_table_is_found(store: Store) -> None:
    table = DeltaTable(store.triplets.place)
    table.update(updates={"accepted": "true"}, predicate=f"candidate_id = '{sample('eel').key}'")
    faults = verify(store).faults
    assert any("not those that were committed" in fault for fault in faults)


def test_a_row_deleted_from_the_table_is_found(store: Store) -> None:
    DeltaTable(store.triplets.place).delete(f"candidate_id = '{sample('eel').key}'")
    assert any("not those that were committed" in fault for fault in verify(store).faults)


def test_wids_reads_the_index(store: Store, tmp_path: Path) -> None:
    dataset = wids.ShardListDataset(str(store.root / "index.json"), transformations=[], cache_dir=str(tmp_path / "c"))
    keys = {dataset[position]["__key__"] for position in range(len(dataset))}
    assert keys == {sample(name).key for name in ("cat", "dog", "fox", "gnu", "hen")}


def test_the_training_index_has_training_shards_only(store: Store) -> None:
    train = json.loads((store.root / "index-train.json").read_text())["shardlist"]
    heldout = json.loads((store.root / "index-heldout.json").read_text())["shardlist"]
    assert len(train) == 2
    assert heldout == []


def test_duckdb_reads_the_tables(store: Store) -> None:
    triplets = store.triplets.dataset()
    found = duckdb.sql("select accepted, count(*) from triplets group by 1 order by 1").fetchall()
    assert triplets is not None
    assert found == [(False, 1), (True, 5)]


def test_assets_are_added_once(store: Store) -> None:
    values = dict.fromkeys(Asset.model_fields)
    names = ("locator", "fingerprint", "subject", "family", "treatment", "style", "source", "ref_id")
    asset = Asset.model_validate({**values, **dict.fromkeys(names, "x"), "role": "style", "split": "train"})
    store.add_assets(to_table(Asset, [asset, asset]))
    store.add_assets(to_table(Asset, [asset]))
    assert store.assets.read().num_rows == 1
