"""Tables are Delta tables like any other: deltalake reads and changes them between our own commits."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from deltalake import CommitProperties, DeltaTable, write_deltalake

from manifests.arrow_schema import arrow_schema
from manifests.delta_errors import TableError, in_a_line, without_secrets
from manifests.delta_log import DeltaLog, DeltaLogError, Entry
from manifests.files import open_writable
from manifests.records import LATER, Triplet
from manifests.tables import Addition, StoreBusyError, Table
from tests.manifests.making import sample, triplet_row


@pytest.fixture
def table(tmp_path: Path) -> Table:
    return Table(open_writable(tmp_path), "triplets")


def rows(*names: str) -> pa.Table:
    return pa.Table.from_pylist([triplet_row(name) for name in names], arrow_schema(Triplet))


def ids(table: Table) -> list[str]:
    return sorted(table.read(["candidate_id"])["candidate_id"].to_pylist())


def keys(*names: str) -> list[str]:
    return sorted(sample(name).key for name in names)


def test_deltalake_reads_what_is_appended(table: Table) -> None:
    assert table.append(rows("cat"), info={"said": "first"}) == 0
    assert table.append(rows("dog", "eel")) == 1
    theirs = DeltaTable(table.place)
    assert theirs.version() == 1
    assert theirs.to_pyarrow_table().num_rows == 3
    assert [commit.get("said") for commit in reversed(theirs.history())] == ["first", None]
    assert [commit.get("said") for commit in table.history()] == ["first", None]
    assert ids(table) == keys("cat", "dog", "eel")


def test_what_deltalake_changes_in_between_is_seen(table: Table) -> None:
    table.append(rows("cat"))
    table.append(rows("dog"))
    assert len(table.known()) == 2
    DeltaTable(table.place).optimize.compact()
    write_deltalake(
        table.place, rows("eel"), mode="append", commit_properties=CommitProperties(custom_metadata={"said": "theirs"})
    )
    assert table.append_once(rows("cat", "eel", "fox")) == 1
    DeltaTable(table.place).delete(f"candidate_id = '{sample('dog').key}'")
    assert Table(open_writable(Path(table.place).parents[1]), "triplets").append_once(rows("dog", "cat")) == 1
    assert ids(table) == keys("cat", "dog", "eel", "fox")


def test_rows_are_added_once_by_sixteen_writers(tmp_path: Path) -> None:
    def add(writer: int) -> int:
        table = Table(open_writable(tmp_path), "triplets")
        return sum(table.append_once(rows(*(f"{n}" for n in range(start, start + 4)))) for start in (writer % 4, 3))

    with ThreadPoolExecutor(16) as pool:
        added = sum(pool.map(add, range(16)))
    assert added == 7
    assert ids(Table(open_writable(tmp_path), "triplets")) == keys(*(f"{n}" for n in range(7)))


def test_a_hundred_versions_are_summed_up(table: Table) -> None:
    for number in range(102):
        table.append(rows(f"{number}"))
    assert json.loads((Path(table.place) / "_delta_log/_last_checkpoint").read_text())["version"] == 100
    assert DeltaTable(table.place).to_pyarrow_table().num_rows == 102
    assert len(Table(open_writable(Path(table.place).parents[1]), "triplets").known()) == 102


def test_a_table_of_an_earlier_release_gets_the_columns_that_it_lacks(table: Table) -> None:
    early = [{key: value for key, value in triplet_row("cat").items() if key not in LATER}]
    schema = pa.schema([field for field in arrow_schema(Triplet) if field.name not in LATER])
    write_deltalake(table.place, pa.Table.from_pylist(early, schema))
    table.append(rows("dog"))
    theirs = DeltaTable(table.place)
    assert set(theirs.to_pyarrow_table().column_names) == set(arrow_schema(Triplet).names)
    assert ids(table) == keys("cat", "dog")
    assert len(DeltaTable(table.place).history()) == 2


def test_a_table_that_asks_for_more_of_its_writers_is_left_alone(table: Table) -> None:
    table.append(rows("cat"))
    theirs = DeltaTable(table.place)
    theirs.alter.set_table_properties({"delta.enableDeletionVectors": "true", "delta.minWriterVersion": "7"})
    with pytest.raises(DeltaLogError, match="asks its writers for version 7 of Delta's protocol"):
        table.append(rows("dog"))
    with pytest.raises(DeltaLogError, match="asks its writers for version 7"):
        Table(open_writable(Path(table.place).parents[1]), "triplets").append(rows("dog"))


def test_a_gap_in_the_log_is_named(table: Table) -> None:
    for name in ("cat", "dog", "eel"):
        table.append(rows(name))
    (Path(table.place) / "_delta_log" / f"{1:020}.json").unlink()
    with pytest.raises(DeltaLogError, match=r"0001.json is missing: the log has a gap"):
        table.history()


def test_an_entry_that_was_cut_off_is_named() -> None:
    with pytest.raises(DeltaLogError, match="version 3 of a table cannot be read"):
        Entry.parse(3, b'{"add": {"path": ')


def test_a_writer_that_always_comes_second_gives_up(table: Table, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("manifests.tables._ATTEMPTS", 3)
    other = Table(open_writable(Path(table.place).parents[1]), "triplets")

    def overtaken() -> Addition:
        other.append(rows("dog"))
        return Addition(rows("cat"))

    with pytest.raises(StoreBusyError, match="other jobs commit without end"):
        table.commit(overtaken)
    files = {path.name for path in Path(table.place).glob("*.parquet")}
    named = {
        file.path
        for entry in DeltaLog(open_writable(Path(table.place).parents[1]), "tables/triplets").between(0, 2)
        for file in entry.added
    }
    assert files == named, "files of attempts that came second are deleted"


def test_errors_of_deltalake_are_one_line_without_secrets(tmp_path: Path) -> None:
    options = {"AWS_SECRET_ACCESS_KEY": "hush", "AWS_SESSION_TOKEN": "whisper", "AWS_REGION": "here"}
    said = without_secrets(ValueError("no hush, no whisper, here\nand more"), options)
    assert said == "no ***, no ***, here"
    with pytest.raises(TableError, match=r"^place: no \*\*\*$"), in_a_line("place", options):
        raise Exception("no hush")
    with pytest.raises(TableError):
        Table(open_writable(tmp_path), "triplets").delta()


def test_small_files_are_merged_and_any_reader_sees_the_same_rows(table: Table) -> None:
    for name in ("cat", "dog", "eel"):
        table.append(rows(name))
    assert table.compact() == 3
    assert ids(table) == keys("cat", "dog", "eel")
    theirs = DeltaTable(table.place)
    assert len(theirs.file_uris()) == 1
    assert theirs.to_pyarrow_table().num_rows == 3
    assert DeltaTable(table.place, version=1).to_pyarrow_table().num_rows == 2
    assert theirs.history()[0]["operation"] == "OPTIMIZE"
    assert table.compact() == 0
    assert table.append_once(rows("cat", "fox")) == 1
    again = Table(open_writable(Path(table.place).parents[1]), "triplets")
    assert again.append_once(rows("cat", "fox")) == 0
    assert again.vacuum(timedelta(0), dry_run=False)
    assert ids(again) == keys("cat", "dog", "eel", "fox")


def test_merged_by_many_at_once_beside_writers_every_row_still_stands_once(tmp_path: Path) -> None:
    Table(open_writable(tmp_path), "triplets").append(rows("first"))

    def work(number: int) -> None:
        table = Table(open_writable(tmp_path), "triplets")
        for step in range(5):
            if number % 2:
                table.append_once(rows(f"{step}", f"{number}-{step}"))
            else:
                table.compact()
                table.vacuum(timedelta(0), dry_run=False)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    names = {"first", *(f"{step}" for step in range(5)), *(f"{n}-{step}" for n in (1, 3, 5, 7) for step in range(5))}
    assert ids(Table(open_writable(tmp_path), "triplets")) == keys(*names)


def test_merging_a_table_of_an_earlier_release_leaves_its_later_columns_empty(table: Table) -> None:
    later = [field.name for field in table.schema if field.nullable][-1]
    lacking = [name for name in table.schema.names if name != later]
    for name in ("cat", "dog"):
        write_deltalake(table.place, rows(name).select(lacking), mode="append")
    assert table.compact() == 2
    assert table.read([later]).column(0).null_count == 2
    assert ids(table) == keys("cat", "dog")
