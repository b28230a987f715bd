"""The index of ids finds every file that holds an id, whatever came and went since it was made."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.audit.ledger import Ledger
from manifests.audit.lookup import candidate, images
from manifests.store import Store
from tests.manifests.audit import histories
from tests.manifests.audit.histories import commit_rows, image

IMAGES = {role: image(role, 0) for role in ("target", "content", "style")}


def indexed(folder: Path, cache: Path) -> Ledger:
    ledger = Ledger(folder, cache=cache)
    ledger.index.from_rows = 0
    return ledger


def commit_names(folder: Path, names: list[str]) -> list[str]:
    rows = [histories.candidate(name, IMAGES) for name in names]
    commit_rows(Store(folder), rows, list(IMAGES.values()))
    return [row["candidate_id"] for row in rows]


@settings(max_examples=6, deadline=None)
@given(st.lists(st.lists(st.integers(0, 10**6), min_size=1, max_size=4, unique=True), min_size=1, max_size=3))
def test_every_id_and_prefix_is_found(commits: list[list[int]]) -> None:
    with TemporaryDirectory() as place:
        folder, cache, ids = Path(place) / "store", Path(place) / "cache", []
        for number, commit in enumerate(commits):
            ids += commit_names(folder, [f"{number}-{one}" for one in commit])
            ledger = indexed(folder, cache)
            for one in ids:
                row = candidate(ledger, one)
                assert row is not None
                assert row["candidate_id"] == one
                alone = sum(other.startswith(one[:8]) for other in ids) == 1
                assert not alone or candidate(ledger, one[:8]) == row
            assert candidate(ledger, "0123456789abcdef" * 2) is None


def test_only_the_file_that_holds_an_id_is_read(tmp_path: Path) -> None:
    ids = [commit_names(tmp_path / "store", [f"c{number}"])[0] for number in range(4)]
    ledger = indexed(tmp_path / "store", tmp_path / "cache")
    table = ledger.triplets
    assert [len(ledger.index.files(table, ["candidate_id"], [one])) for one in ids] == [1, 1, 1, 1]
    assert len(ledger.index.files(table, ["candidate_id"], ids[:2])) == 2
    assert ledger.index.files(table, ["candidate_id"], ["ffffffffffff"]) == []


def test_many_small_segments_become_one(tmp_path: Path) -> None:
    ids = []
    for number in range(12):
        ids += commit_names(tmp_path / "store", [f"c{number}"])
        assert candidate(indexed(tmp_path / "store", tmp_path / "cache"), ids[-1])
    ledger = indexed(tmp_path / "store", tmp_path / "cache")
    assert all(candidate(ledger, one) for one in ids)
    assert len(list((tmp_path / "cache" / "ids" / "triplets-candidate_id").glob("*.json"))) < 9


def test_rows_that_were_rewritten_or_deleted_are_told_apart(tmp_path: Path) -> None:
    ids = commit_names(tmp_path / "store", ["a", "b", "c"])
    assert candidate(indexed(tmp_path / "store", tmp_path / "cache"), ids[0])
    DeltaTable(str(tmp_path / "store" / "tables" / "triplets")).delete(f"candidate_id = '{ids[0]}'")
    ledger = indexed(tmp_path / "store", tmp_path / "cache")
    assert candidate(ledger, ids[0]) is None
    assert candidate(ledger, ids[1]) is not None
    before = Ledger(tmp_path / "store", 0, cache=tmp_path / "cache")
    before.index.from_rows = 0
    assert candidate(before, ids[0]) is not None


def test_a_damaged_cache_is_made_again(tmp_path: Path) -> None:
    ids = commit_names(tmp_path / "store", ["a"])
    assert candidate(indexed(tmp_path / "store", tmp_path / "cache"), ids[0])
    for path in (tmp_path / "cache").rglob("*.json*"):
        path.write_text("{")
    assert candidate(indexed(tmp_path / "store", tmp_path / "cache"), ids[0])
    assert len(indexed(tmp_path / "store", tmp_path / "cache").commits) == 1


def test_images_are_found_by_asset_and_reference(tmp_path: Path) -> None:
    commit_names(tmp_path / "store", ["a"])
    ledger = indexed(tmp_path / "store", tmp_path / "cache")
    asset, ref = str(IMAGES["style"].asset_id), IMAGES["style"].ref_id
    assert [row["ref_id"] for row in images(ledger, asset[:9])] == [ref]
    assert [row["asset_id"] for row in images(ledger, ref)] == [asset]
