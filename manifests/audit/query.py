"""SQL over a store, by people who may read it and nothing else: bounded in what it can touch, in time and in memory."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from manifests.arrow_schema import arrow_schema
from manifests.audit.ledger import AuditError, Ledger, connect
from manifests.audit.schema import COMMITS, SHARDS
from manifests.tables import TABLES

if TYPE_CHECKING:
    import duckdb

ROWS = 1_000
SECONDS = 60.0
MEMORY = "1GB"


@dataclass(frozen=True)
class Answer:
    """Rows of a query, and whether there were more than were asked for."""

    table: pa.Table
    more: bool

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Return the rows as plain values."""
        found: list[dict[str, Any]] = self.table.to_pylist()
        return found


def query(ledger: Ledger, sql: str, *, rows: int = ROWS, seconds: float = SECONDS, memory: str = MEMORY) -> Answer:
    """Run one SELECT over the tables of a store, and over `commits` and `shards`.

    DuckDB is locked first: it opens no file but the tables' own, writes none, loads no extension, attaches nothing, and
    its settings cannot be changed; a statement that is no SELECT is refused before it is run. Raises AuditError on what
    is refused, on faulty SQL, and where a limit is reached.
    """
    import duckdb

    connection = _locked(ledger, memory)
    timer = threading.Timer(seconds, connection.interrupt)
    timer.start()
    try:
        statements = connection.extract_statements(sql)
        if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
            kinds = ", ".join(one.type.name for one in statements) or "nothing"
            raise AuditError(f"one SELECT is taken, not {kinds}: an audit only reads")
        table = connection.sql(statements[0].query).limit(rows + 1).to_arrow_table()
    except duckdb.InterruptException:
        raise AuditError(f"the query took longer than {seconds:g} s and was stopped; --seconds allows more") from None
    except duckdb.OutOfMemoryException:
        raise AuditError(f"the query needs more than {memory} of memory; --memory allows more") from None
    except duckdb.Error as error:
        raise AuditError(f"{type(error).__name__}: {_first_line(str(error))}") from None
    finally:
        timer.cancel()
        connection.close()
    return Answer(table.slice(0, rows), table.num_rows > rows)


def _locked(ledger: Ledger, memory: str) -> duckdb.DuckDBPyConnection:
    selects, places = {}, []
    for name, record in TABLES.items():
        if ledger.has(name):
            table = ledger.table(name)
            selects[name] = table.select()
            places += [table.place(file) for file in table.files]
        else:
            nulls = ", ".join(f'NULL AS "{column}"' for column in arrow_schema(record).names)
            selects[name] = f"SELECT {nulls} WHERE false"
    connection = connect(ledger.files, ledger.sizes, memory=memory, scratch=None)
    connection.execute("SET allowed_paths = $paths", {"paths": places})
    for name, select in selects.items():
        connection.execute(f"CREATE VIEW {name} AS {select}")
    connection.register("commits", _commits(ledger))
    connection.register("shards", _shards(ledger))
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _commits(ledger: Ledger) -> pa.Table:
    rows = [
        {
            "version": commit.version,
            "time": commit.time,
            "operation": commit.operation,
            "digest": commit.digest or None,
            "previous": commit.previous or None,
            "root": commit.root or None,
            "job": commit.job or None,
            "rows": commit.rows_added,
            "shards": len(commit.shards),
        }
        for commit in ledger.commits
    ]
    return pa.Table.from_pylist(rows, schema=arrow_schema(COMMITS))


def _shards(ledger: Ledger) -> pa.Table:
    keys = ("name", "split", "samples", "bytes", "sha256")
    rows = [
        {
            **{key: shard.get(key) for key in keys},
            "version": commit.version,
            "joined_into": ledger.joined.get(shard["name"]),
        }
        for commit, shard in ledger.shards.values()
    ]
    return pa.Table.from_pylist(rows, schema=arrow_schema(SHARDS))


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "unknown")
