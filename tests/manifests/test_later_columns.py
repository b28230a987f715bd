"""A store that an earlier release wrote: it opens, it still verifies, and it takes new commits."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
from deltalake import CommitProperties, write_deltalake

from manifests.arrow_schema import arrow_schema
from manifests.chain import DIGEST, GENESIS, PREVIOUS, ROOT, SHARDS, commit_root
from manifests.merkle import link
from manifests.records import LATER, TIMES, Triplet
from manifests.store import Store
from manifests.verify import verify
from tests.manifests.making import commit, triplet_row

_NEW = LATER | set(TIMES)


def _commit_as_before(store: Store, name: str) -> None:
    """Commit a row as the first release did: without the columns of later ones, in the table and in the root."""
    row = {key: value for key, value in triplet_row(name, follows=GENESIS).items() if key not in _NEW}
    schema = pa.schema([field for field in arrow_schema(Triplet) if field.name not in _NEW])
    root = commit_root([row], [])
    metadata = {ROOT: root, PREVIOUS: GENESIS, DIGEST: link(GENESIS, root), SHARDS: "[]"}
    write_deltalake(
        store.triplets.place,
        pa.Table.from_pylist([row], schema),
        commit_properties=CommitProperties(custom_metadata=metadata),
    )


def test_reads_with_nulls_and_verifies(tmp_path: Path) -> None:
    store = Store(tmp_path)
    _commit_as_before(store, "cat")
    assert store.triplets.read(["aesthetic", "attempt"]).to_pylist() == [{"aesthetic": None, "attempt": None}]
    assert verify(store).sound


def test_takes_new_commits_in_the_same_chain(tmp_path: Path) -> None:
    store = Store(tmp_path)
    _commit_as_before(store, "cat")
    commit(store, ["dog"], rejected=("owl",))
    assert store.triplets.read().num_rows == 3
    assert verify(store).sound


def test_a_later_column_is_covered_once_it_holds_something() -> None:
    row = triplet_row("cat")
    assert commit_root([row], []) != commit_root([{**row, "aesthetic": 5.0}], [])
