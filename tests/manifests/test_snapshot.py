"""A snapshot shows the rows of its version and no others, and says in one line what it cannot do."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest
from deltalake import DeltaTable
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from manifests.arrow_schema import arrow_schema, to_table
from manifests.files import open_files
from manifests.identities import asset_id
from manifests.records import Asset, Triplet
from manifests.shard_index import ShardIndex, ShardIndexes
from manifests.shards import read_samples, write_shard
from manifests.snapshot import Snapshot, SnapshotError
from manifests.store import Store
from manifests.where import WhereError
from tests.manifests.making import commit, sample, triplet_row

COLUMNS = ["candidate_id", "subject", "licences", "style_leak", "shard", "offset"]


def names(snapshot: Snapshot, where: str | None = None) -> list[str]:
    return sorted(snapshot.samples(where, None, ["subject"])["subject"].to_pylist())


def is_one_line(message: str) -> bool:
    return "\n" not in message


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path / "a store")
    commit(made, ["cat", "dog"], rejected=("eel",))
    commit(made, ["fox", "gnu", "hen"])
    return made


def scored_store(folder: Path) -> Store:
    """Return a store of 60 accepted samples and 20 rejected ones in two commits, with nulls and odd names."""
    made = Store(folder)
    for part in range(2):
        rows = []
        shard = write_shard(made.files, [sample(f"{part}-{n}") for n in range(30)], split="train")
        for n in range(40):
            values: dict[str, Any] = {"layout": "shifted" if n % 3 else "preserved", "index": n % 5}
            values |= {"style_leak": None if n % 4 == 0 else n / 40, "licences": ["MIT"] if n % 2 else []}
            values |= {"truth": None if n % 5 == 0 else "good" if n % 5 < 3 else "it's; --odd"}
            if n < 30:
                values |= {"accepted": True, "shard": shard.name}
                values |= {"offset": shard.offsets[sample(f"{part}-{n}").key]}
            rows.append(triplet_row(f"{part}-{n}", **values))
        made.commit(pa.Table.from_pylist(rows, arrow_schema(Triplet)), to_table(Asset, []), [shard])
    return made


def add_sizes(store: Store, images: list[str]) -> None:
    values: dict[str, Any] = dict.fromkeys(Asset.model_fields)
    values |= dict.fromkeys(("locator", "fingerprint", "subject", "family", "treatment", "style", "source"), "x")
    rows = [
        Asset.model_validate(
            {**values, "role": "style", "split": "train", "ref_id": f"ref {n}", "asset_id": image}
            | {"width": 100 + n, "height": 200 + n}
        )
        for n, image in enumerate(images)
    ]
    refused = Asset.model_validate({**values, "role": "style", "split": "train", "ref_id": "refused"})
    store.add_assets(to_table(Asset, [refused, *rows]))


def test_accepted_samples_come_in_the_order_in_which_they_lie(store: Store) -> None:
    rows = Snapshot(store.root).samples(None, "train", COLUMNS)
    assert rows.column_names == COLUMNS
    places = list(zip(rows["shard"].to_pylist(), rows["offset"].to_pylist(), strict=True))
    assert places == sorted(places)
    keys = [key for shard in sorted((store.root / "shards").glob("*.tar")) for key, _ in read_samples(shard)]
    assert rows["candidate_id"].to_pylist() == keys
    assert rows.schema.field("licences").type == pa.list_(pa.string())
    assert rows.schema.field("subject").type == pa.string()


def test_another_split_is_empty_with_the_same_columns(store: Store) -> None:
    snapshot = Snapshot(str(store.root))
    rows = snapshot.samples(None, "heldout", COLUMNS)
    assert rows.num_rows == 0
    assert rows.schema.types == snapshot.samples(None, "train", COLUMNS).schema.types


def test_bytes_are_found_at_their_places(store: Store) -> None:
    snapshot = Snapshot(store.root)
    rows = snapshot.samples(None, None, ["subject", "candidate_id", "shard"])
    for row in rows.to_pylist():
        members = snapshot.shard_index(row["shard"]).members(row["candidate_id"])
        assert set(members) == {"target.webp", "content.webp", "style.webp", "txt", "json"}
        for role in ("target", "content", "style"):
            place = members[f"{role}.webp"]
            data = snapshot.files.read_range(f"shards/{row['shard']}", place.offset, place.size)
            assert data == f"{row['subject']}/{role}".encode()
            assert place.sha256 == asset_id(data)


def test_a_pinned_version_does_not_see_later_commits(store: Store) -> None:
    first, second = Snapshot(store.root, 0), Snapshot(store.root)
    commit(store, ["owl"])
    assert (first.version, second.version, Snapshot(store.root).version) == (0, 1, 2)
    assert names(first) == names(Snapshot(store.root, 0)) == ["cat", "dog"]
    assert names(second) == ["cat", "dog", "fox", "gnu", "hen"]
    assert names(Snapshot(store.root)) == ["cat", "dog", "fox", "gnu", "hen", "owl"]


def test_the_digest_is_that_of_the_versions_own_commit(store: Store) -> None:
    digests = [store.head()]
    for name in ("owl", "pig"):
        commit(store, [name])
        digests.append(store.head())
    assert [Snapshot(store.root, version).digest for version in (1, 2, 3)] == digests


def test_a_copy_elsewhere_has_the_same_digest(store: Store, tmp_path: Path) -> None:
    shutil.copytree(store.root, tmp_path / "copy")
    assert Snapshot(tmp_path / "copy").digest == Snapshot(store.root).digest


def test_after_a_delete_and_an_update_rows_are_read_and_the_digest_is_another(store: Store) -> None:
    before = Snapshot(store.root)
    DeltaTable(store.triplets.place).delete("subject = 'fox'")
    deleted = Snapshot(store.root)
    DeltaTable(store.triplets.place).update(updates={"style_leak": "0.5"}, predicate="subject = 'gnu'")
    updated = Snapshot(store.root)
    assert names(updated, "subject <> 'cat' and not array_has(licences, 'MIT')") == ["dog", "gnu", "hen"]
    assert names(updated, "style_leak = 0.5") == ["gnu"]
    assert updated.samples(None, None, COLUMNS).schema == before.samples(None, None, COLUMNS).schema
    assert len({before.digest, deleted.digest, updated.digest}) == 3
    assert Snapshot(store.root, deleted.version).digest == deleted.digest
    assert names(Snapshot(store.root, before.version)) == ["cat", "dog", "fox", "gnu", "hen"]


def test_compacting_changes_neither_rows_nor_digest(store: Store) -> None:
    before = Snapshot(store.root)
    DeltaTable(store.triplets.place).optimize.compact()
    after = Snapshot(store.root)
    assert after.version == before.version + 1
    assert after.digest == before.digest
    assert after.samples(None, None, COLUMNS).equals(before.samples(None, None, COLUMNS))


def test_a_version_of_which_the_files_are_gone_says_so(store: Store) -> None:
    table = DeltaTable(store.triplets.place)
    table.optimize.compact()
    table.vacuum(retention_hours=0, enforce_retention_duration=False, dry_run=False)
    assert names(Snapshot(store.root)) == ["cat", "dog", "fox", "gnu", "hen"]
    for where in (None, "style_leak is null"):
        with pytest.raises(SnapshotError, match=r"`triplets` cannot be read; were files vacuumed") as caught:
            names(Snapshot(store.root, 0), where)
        assert is_one_line(str(caught.value))


def test_sizes_come_from_the_assets(store: Store) -> None:
    made = sample("dog")
    add_sizes(store, [asset_id(made.images[role]) for role in ("target", "content", "style")])
    snapshot = Snapshot(store.root)
    columns = ["content_height", "subject", "target_width", "target_height", "content_width", "style_width"]
    rows = snapshot.samples("subject = 'dog'", None, columns)
    assert rows.column_names == columns
    assert rows.to_pylist() == [dict(zip(columns, [201, "dog", 100, 200, 101, 102], strict=True))]
    empty = snapshot.samples("subject = 'nobody'", None, columns)
    assert empty.num_rows == 0
    assert empty.schema.types == rows.schema.types


def test_a_size_that_is_nowhere_is_an_error(store: Store) -> None:
    add_sizes(store, [asset_id(sample("dog").images["target"])])
    with pytest.raises(SnapshotError, match=r"size of 4 images is not in the assets table.*store verify"):
        Snapshot(store.root).samples(None, None, ["subject", "target_width"])


PREDICATES = st.recursive(
    st.sampled_from(
        [
            *(f"style_leak {op} {n}" for op in ("<", ">=", "<>", "=") for n in ("0.025", "0.5")),
            *(f"truth {op} 'good'" for op in ("=", "<>", "like")),
            "(truth is distinct from 'good')",  # without brackets DataFusion takes an `or` behind it as its right side
            *("style_leak is null", "truth is not null", "accepted", "layout = 'shifted'", "layout <> 'shifted'"),
            *("truth in ('good', null)", "truth not in ('good', null)", "truth = 'it''s; --odd'", "subject like '1-%'"),
            *('"index" between 1 and 3', "coalesce(style_leak, 1) > 0.9", "shard is null", "style_leak > null"),
        ]
    ),
    lambda inner: st.one_of(
        st.builds("({}) and ({})".format, inner, inner),
        st.builds("{} or {}".format, inner, inner),
        st.builds("not ({})".format, inner),
        st.builds("{} -- why\n".format, inner),
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return scored_store(tmp_path_factory.mktemp("scored") / "store")


@given(where=PREDICATES)
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_filter_keeps_what_another_database_keeps(scored: Store, where: str) -> None:
    triplets = scored.triplets.read()
    assert triplets is not None
    expected = duckdb.sql(f"select subject from triplets where accepted and shard is not null and ({where}\n)")
    assert names(Snapshot(scored.root), where) == sorted(name for (name,) in expected.fetchall())


@pytest.mark.parametrize(
    ("where", "fault"),
    [
        ("style_leek > 0.5", "there is no column style_leek"),
        ("Subject = 'cat'", 'there is no column "Subject"'),
        ("subject = 'cat", "Unterminated string literal"),
        ("subject =", "found: its end"),
        ("subject = 'cat' and\n", "found: its end"),
        ("", "found: its end"),
        ("true) or (true", "it is not one expression"),
        ("true then true else false end or case when true", "Expected: ), found: then"),
        ("select true", "it is not one expression"),
        ("true, true", "it is not one expression"),
        ("true; drop table triplets", "Expected: ), found: ;"),
        ("true); drop table triplets; --", "Expected: an SQL statement, found"),
        ("true order by 1", "Expected: ), found: order"),
        ("true /* and", "Unexpected EOF"),
        ("subject", "it gives string_view, not true or false"),
        ("style_leak", "it gives double, not true or false"),
        ("1", "it gives int64, not true or false"),
        ("null", "it gives null, not true or false"),
        ("count(*) > 1", "Aggregate functions are not allowed"),
        ("row_number() over () = 1", "not implemented"),
        ("nosuch(subject)", "Invalid function 'nosuch'"),
        ("style_leak > 'much'", "Cannot cast string 'much'"),
        ("cast(subject as int) > 3", "Cannot cast string '"),
        ("random() > 0.5", "could not be resumed"),
        ("now() > '2026-01-01'", "could not be resumed"),
    ],
)
def test_a_filter_at_fault_is_told_with_the_columns_there_are(store: Store, where: str, fault: str) -> None:
    with pytest.raises(WhereError) as caught:
        names(Snapshot(store.root), where)
    message = str(caught.value)
    assert is_one_line(message)
    assert message.startswith("where: ")
    assert fault in message
    assert "; the columns are candidate_id, accepted, " in message


def test_a_name_that_looks_like_a_function_may_be_asked_for(store: Store) -> None:
    assert names(Snapshot(store.root), "subject <> 'random' and style is distinct from 'now'") == names(
        Snapshot(store.root)
    )


def test_a_filter_cannot_let_rejected_candidates_in(store: Store) -> None:
    assert names(Snapshot(store.root), "not accepted or true") == ["cat", "dog", "fox", "gnu", "hen"]
    assert names(Snapshot(store.root), "not accepted") == []


def test_an_unknown_column_is_told_with_the_columns_there_are(store: Store) -> None:
    with pytest.raises(ValueError, match=r"no column width; there are candidate_id, .*target_width"):
        Snapshot(store.root).samples(None, None, ["width"])


def test_an_unknown_split_is_refused(store: Store) -> None:
    with pytest.raises(ValueError, match="split 'test' is none of train, heldout"):
        Snapshot(store.root).samples(None, "test", ["subject"])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("opening", "fault"),
    [
        (lambda root: Snapshot(root / "nowhere"), "nowhere: no such folder"),
        (lambda root: Snapshot(root.parent), "is no store, it has no table `triplets`; name what"),
        (lambda root: Snapshot(root, 7), "there is no version 7 yet, the newest is 1"),
        (lambda root: Snapshot(root, -1), "versions count from 0"),
    ],
)
def test_what_cannot_be_opened_says_why(store: Store, opening: Callable[[Path], object], fault: str) -> None:
    with pytest.raises(SnapshotError, match=fault) as caught:
        opening(store.root)
    assert is_one_line(str(caught.value))


def test_a_damaged_index_names_itself(store: Store) -> None:
    shard = store.committed_shards()[0]["name"]
    beside = store.root / "shards" / f"{shard}.index.json"
    whole = json.loads(beside.read_text())
    broken = [b"", b"[]", b"{", beside.read_bytes()[:200], json.dumps({**whole, "version": 2}).encode()]
    for change in ({"offset": -1}, {"sha256": "abc"}, {"sha256": "ab"}, {"size": None}, {"name": 3}):
        samples = json.loads(json.dumps(whole["samples"]))
        samples[0]["members"][0] |= change
        broken.append(json.dumps({**whole, "samples": samples}).encode())
    for data in broken:
        beside.write_bytes(data)
        with pytest.raises(ValueError, match=rf"{shard}.index.json: is not the index of a shard"):
            Snapshot(store.root).shard_index(shard)
    beside.unlink()
    with pytest.raises(FileNotFoundError, match="store verify"):
        Snapshot(store.root).shard_index(shard)


def test_a_sample_that_is_not_in_the_shard_has_no_members(store: Store) -> None:
    index = Snapshot(store.root).shard_index(store.committed_shards()[0]["name"])
    assert index.members("nobody") == {}


def test_threads_parse_an_index_once(store: Store) -> None:
    class Counting:
        root = str(store.root)
        reads = 0

        def read(self, name: str) -> bytes:
            self.reads += 1
            together.wait(0.05)
            return open_files(store.root).read(name)

    together, files = threading.Event(), Counting()
    indexes = ShardIndexes(files)  # type: ignore[arg-type]
    shard = store.committed_shards()[0]["name"]
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: indexes.get(shard), range(8)))
    assert files.reads == 1
    assert len({id(index) for index in found}) == 1


def test_indexes_that_were_used_last_are_kept(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    for name in "abc":
        commit(store, [f"{name}1", f"{name}2"])
    shards = [shard["name"] for shard in store.committed_shards()]
    indexes = ShardIndexes(open_files(store.root), kept_samples=4)
    first, second = indexes.get(shards[0]), indexes.get(shards[1])
    assert indexes.get(shards[0]) is first
    indexes.get(shards[2])
    assert indexes.get(shards[0]) is first
    assert indexes.get(shards[1]) is not second


def test_an_index_larger_than_all_that_is_kept_is_usable(store: Store) -> None:
    indexes = ShardIndexes(open_files(store.root), kept_samples=1)
    for shard in store.committed_shards():
        assert isinstance(indexes.get(shard["name"]), ShardIndex)
        assert len(indexes.get(shard["name"])) == shard["samples"]
