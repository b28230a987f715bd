"""A store opened for an audit: its tables at one version, ready to be asked in SQL."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from deltalake import DeltaTable

from manifests.arrow_schema import arrow_schema
from manifests.audit.cache import cache_of
from manifests.audit.commits import Commit, log_name, read_commits
from manifests.audit.errors import AuditError as AuditError
from manifests.audit.id_index import IdIndex
from manifests.audit.table_at import TableAt
from manifests.chain import PARTS
from manifests.files import Files, NoSuchRootError, delta_options
from manifests.moves import open_moved
from manifests.shard_index import ShardIndexes
from manifests.tables import TABLES

if TYPE_CHECKING:
    import duckdb

MEMORY = "1200MB"
"""What DuckDB may use before it writes to disk; Python, Arrow and the index come on top."""

THREADS = 2


class Ledger:
    """The tables of a store at one version of `triplets`, read only.

    Other tables are taken as they were when that version was committed: `assets` and `judgements` are written before
    the triplets that name them. `jobs` are taken whole: a job's record is written when it ends, after its commits.
    """

    files: Files
    root: str
    version: int

    def __init__(
        self, root: str | Path, version: int | None = None, *, cache: Path | None = None, memory: str = MEMORY
    ) -> None:
        """Open a store at a version, or at the newest. Raises AuditError where it, or that version, is not there."""
        try:
            self.files = open_moved(root)
            self._options = delta_options(root)
        except (ImportError, OSError, ValueError) as error:
            raise AuditError(str(error)) from None
        self.root = self.files.root
        self.cache = cache or cache_of(self.root)
        self._memory = memory
        self._wanted = version
        self._tables: dict[str, TableAt | None] = {}
        self.sizes: dict[str, int] = {}
        self.version = self.triplets.version
        self.newest = self.version if version is None else self._open("triplets", None).version()

    @property
    def triplets(self) -> TableAt:
        """Return the candidates."""
        return self._table("triplets")

    @property
    def assets(self) -> TableAt:
        """Return the images."""
        return self._table("assets")

    @property
    def jobs(self) -> list[dict[str, Any]]:
        """Return all jobs, in order of their start."""
        if not self.has("jobs"):
            return []
        return self.rows(f"SELECT * FROM ({self._table('jobs').select()}) ORDER BY started")

    def has(self, name: str) -> bool:
        """Tell whether the store has a table."""
        return self._find(name) is not None

    def table(self, name: str) -> TableAt:
        """Return a table by its name. Raises AuditError where the store has none of this name."""
        return self._table(name)

    @cached_property
    def commits(self) -> list[Commit]:
        """Return the commits up to this version, oldest first."""
        try:
            return read_commits(self.files, self.version, self.cache / "commits.jsonl")
        except (OSError, ValueError) as error:
            raise AuditError(f"{self.root}: the log of its table `triplets` cannot be read: {error}") from None

    @cached_property
    def by_previous(self) -> dict[str, Commit]:
        """Return the commits of the chain by the digest that they follow, which their rows carry as `follows`."""
        return {commit.previous: commit for commit in self.commits if commit.digest}

    @cached_property
    def shards(self) -> dict[str, tuple[Commit, dict[str, Any]]]:
        """Return the shards by name, each with the commit that added it and what that says of it."""
        return {shard["name"]: (commit, shard) for commit in self.commits for shard in commit.shards}

    @cached_property
    def joined(self) -> dict[str, str]:
        """Return for each shard that a compaction replaced the one into which it was joined."""
        return {part["shard"]: name for name, (_, shard) in self.shards.items() for part in shard.get(PARTS, ())}

    @cached_property
    def shard_indexes(self) -> ShardIndexes:
        """Return the indexes beside the shards."""
        return ShardIndexes(self.files)

    @cached_property
    def index(self) -> IdIndex:
        """Return the index of ids."""
        return IdIndex(self.cache / "ids", self.connection)

    @cached_property
    def connection(self) -> duckdb.DuckDBPyConnection:
        """Return the connection on which everything of this ledger is asked."""
        return connect(self.files, self.sizes, memory=self._memory, scratch=self.cache / "scratch")

    def rows(self, sql: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return what a SELECT gives, row by row; its parameters are named (`$name`)."""
        found: list[dict[str, Any]] = self.arrow(sql, parameters).to_pylist()
        return found

    def arrow(self, sql: str, parameters: Mapping[str, Any] | None = None) -> pa.Table:
        """Return what a SELECT gives, as an Arrow table."""
        with self._readable():
            return self.connection.sql(sql, params=dict(parameters or {})).to_arrow_table()

    def batches(self, sql: str, rows: int) -> Iterator[list[tuple[Any, ...]]]:
        """Yield what a SELECT gives in parts of so many rows; it may hold no times.

        Nothing else is to be asked before the last part has come: temporary tables belong to one connection.
        """
        with self._readable():
            result = self.connection.execute(sql)
            while part := result.fetchmany(rows):
                yield part

    def run(self, sql: str) -> None:
        """Run a statement on the ledger's own connection, e.g. to make a temporary table; the store is not changed."""
        with self._readable():
            self.connection.execute(sql)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        import duckdb

        try:
            yield
        except duckdb.IOException as error:
            text = str(error).splitlines()[0]
            raise AuditError(
                f"{self.root}: a file of its tables cannot be read; were files vacuumed, or copied only in part? {text}"
            ) from None
        except duckdb.OutOfMemoryException:
            raise AuditError(f"{self.root}: needs more than {self._memory} of memory, and disk to go on with") from None

    def _table(self, name: str) -> TableAt:
        found = self._find(name)
        if found is None:
            raise AuditError(
                f"{self.root}: is no store, it has no table `{name}`; name what `triptych curate run --store` wrote"
            )
        return found

    def _find(self, name: str) -> TableAt | None:
        if name not in self._tables:
            self._tables[name] = self._read(name)
        return self._tables[name]

    def _read(self, name: str) -> TableAt | None:
        try:
            self.files.read(log_name(name, 0))
        except NoSuchRootError as error:
            raise AuditError(str(error)) from None
        except FileNotFoundError:
            return None
        except OSError as error:
            raise AuditError(str(error)) from None
        delta = self._open(name, self._wanted if name == "triplets" else None)
        if name not in ("triplets", "jobs") and self._wanted is not None:
            delta = self._open(name, self._as_of(name, delta.version()))
        table = TableAt(name, delta, arrow_schema(TABLES[name]), self.files, self.cache)
        self.sizes |= {f"tables/{name}/{file.name}": file.bytes for file in table.files}
        return table

    def _as_of(self, name: str, newest: int) -> int:
        """Return the newest version of a table that is not younger than this version of `triplets`."""
        moment = self.commits[-1].milliseconds
        for version in range(newest, 0, -1):
            log = self.files.read(log_name(name, version))
            infos = (json.loads(line) for line in log.splitlines() if b'"commitInfo"' in line)
            if next((info["commitInfo"].get("timestamp", 0) for info in infos), 0) <= moment:
                return version
        return 0

    def _open(self, name: str, version: int | None) -> DeltaTable:
        if version is not None and version < 0:
            raise AuditError(f"versions count from 0, {version} is none")
        folder = f"tables/{name}"
        place = str(self.files.local_path(folder) or f"{self.root.rstrip('/')}/{folder}")
        try:
            return DeltaTable(place, version=version, storage_options=self._options)
        except Exception as error:  # deltalake raises the bare class too, and its text may hold credentials
            if version is None:
                raise AuditError(f"{self.root}: its table `{name}` cannot be read ({type(error).__name__})") from None
            newest = self._open(name, None).version()
            raise AuditError(
                f"{self.root}: there is no version {version} of `{name}` to read; the newest is {newest}"
            ) from None


def connect(
    files: Files, sizes: Mapping[str, int], *, memory: str, scratch: Path | None, threads: int = THREADS
) -> duckdb.DuckDBPyConnection:
    """Return a DuckDB connection that can open the files of a store; without `scratch` it never writes to disk.

    Raises AuditError without DuckDB.
    """
    try:
        import duckdb
    except ModuleNotFoundError:
        raise AuditError("audits need DuckDB; pip install 'triptych[audit]'") from None

    connection = duckdb.connect()
    for key, value in {
        "threads": threads,
        "memory_limit": memory,
        "temp_directory": str(scratch) if scratch is not None else "",
        "preserve_insertion_order": False,
        "python_enable_replacements": False,
        "enable_progress_bar": False,
        "TimeZone": "UTC",
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }.items():
        connection.execute(f"SET {key} = $value", {"value": value})
    if files.local_path("") is None:
        from manifests.audit.remote_files import RemoteFiles

        connection.register_filesystem(RemoteFiles(files, sizes))
    return connection
