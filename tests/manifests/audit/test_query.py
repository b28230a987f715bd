"""Queries: SQL over every table at any version, and nothing else can be read, written or kept busy."""

from __future__ import annotations

from pathlib import Path

import pytest

from manifests.audit.ledger import AuditError, Ledger
from manifests.audit.query import query
from manifests.audit.schema import QUERIED, schema
from manifests.store import Store
from tests.manifests.audit.histories import accepted, candidate, commit_rows, image

IMAGES = {role: image(role, 0) for role in ("target", "content", "style")}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of two commits; the style image comes with the second."""
    folder = tmp_path_factory.mktemp("store")
    commit_rows(Store(folder), [accepted(candidate("a", IMAGES))], [IMAGES["target"], IMAGES["content"]])
    commit_rows(Store(folder), [candidate("b", IMAGES)], list(IMAGES.values()))
    return folder


def test_every_table_can_be_asked(root: Path) -> None:
    for name in QUERIED:
        assert query(Ledger(root), f"select count(*) as n from {name}").rows[0]["n"] >= 0
    joined = "select c.version, count(*) as n from triplets t join commits c on t.follows = c.previous group by all"
    assert {row["version"]: row["n"] for row in query(Ledger(root), joined).rows} == {0: 1, 1: 1}


def test_a_version_is_as_it_was_in_all_tables(root: Path) -> None:
    counts = "select (select count(*) from triplets) as t, (select count(*) from assets) as a"
    assert query(Ledger(root), counts).rows == [{"t": 2, "a": 3}]
    assert query(Ledger(root, 0), counts).rows == [{"t": 1, "a": 2}]
    assert len(query(Ledger(root, 0), "select * from commits").rows) == 1


@pytest.mark.parametrize(
    "sql",
    [
        "copy triplets to '{root}/out.csv'",
        "copy (select 1) to '{file}'",
        "attach '{root}/other.db'",
        "create table t as select 1",
        "drop view triplets",
        "delete from triplets",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "pragma memory_limit = '100GB'",
        "select 1; select 2",
        "export database '{root}/out'",
        "call pragma_version()",
        "",
    ],
)
def test_a_statement_that_only_reads_nothing_else_is_taken(root: Path, sql: str) -> None:
    file = next((root / "tables" / "triplets").glob("*.parquet"))
    before = sorted(path for path in root.rglob("*"))
    with pytest.raises(AuditError, match="one SELECT is taken"):
        query(Ledger(root), sql.format(root=root, file=file))
    assert sorted(root.rglob("*")) == before


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_csv('/etc/passwd')",
        "select * from '/etc/passwd'",
        "select * from read_text('/etc/hostname')",
        "select * from read_blob('/proc/self/environ')",
        "select * from glob('/*')",
        "select * from read_parquet('{root}/../other.parquet')",
        "select * from query('from read_text(''/etc/passwd'')')",
        "select * from sniff_csv('/etc/passwd')",
        "from read_json('http://127.0.0.1:9/x')",
        "select getenv('HOME')",
        "select * from local_secret",
    ],
)
def test_no_other_file_variable_or_address_can_be_read(root: Path, sql: str) -> None:
    local_secret = [1, 2, 3]
    assert local_secret
    with pytest.raises(AuditError):
        query(Ledger(root), sql.format(root=root))


def test_rows_time_and_memory_are_bounded(root: Path) -> None:
    cut = query(Ledger(root), "select * from range(100)", rows=10)
    assert (cut.table.num_rows, cut.more) == (10, True)
    assert not query(Ledger(root), "select * from range(10)", rows=10).more
    with pytest.raises(AuditError, match=r"longer than 0\.3 s"):
        query(Ledger(root), "select sum(a.range * b.range) from range(100000000) a, range(100000) b", seconds=0.3)
    with pytest.raises(AuditError, match="more than 50MB of memory"):
        query(Ledger(root), "select list(range) from range(100000000)", memory="50MB")


def test_the_order_that_was_asked_for_is_kept(root: Path) -> None:
    rows = query(Ledger(root), "select range as n from range(5000) order by n desc", rows=3).rows
    assert [row["n"] for row in rows] == [4999, 4998, 4997]


def test_faulty_sql_is_told_in_one_line(root: Path) -> None:
    with pytest.raises(AuditError, match="no_such_column") as caught:
        query(Ledger(root), "select no_such_column from triplets")
    assert "\n" not in str(caught.value)


def test_every_column_of_every_table_is_explained() -> None:
    columns = schema()
    assert {column.table for column in columns} == set(QUERIED)
    assert [f"{column.table}.{column.name}" for column in columns if len(column.meaning) < 8] == []


def test_a_folder_that_is_no_store_is_told(tmp_path: Path) -> None:
    with pytest.raises(AuditError, match="is no store"):
        Ledger(tmp_path)
    with pytest.raises(AuditError, match="no such folder"):
        Ledger(tmp_path / "nowhere")


def test_a_table_with_a_missing_file_is_told(tmp_path: Path) -> None:
    commit_rows(Store(tmp_path), [candidate("a", IMAGES)], list(IMAGES.values()))
    for path in (tmp_path / "tables" / "triplets").glob("*.parquet"):
        path.unlink()
    with pytest.raises(AuditError, match="cannot be read"):
        query(Ledger(tmp_path), "select count(style_leak) from triplets")
