"""A store at one version of its manifest, read only: later commits do not change what is seen."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa
import pyarrow.compute as pc
from deltalake import DeltaTable, QueryBuilder

from manifests.arrow_schema import arrow_schema
from manifests.chain import DIGEST, GENESIS
from manifests.delta_errors import without_secrets
from manifests.files import Files, NoSuchRootError, delta_options
from manifests.images import Split
from manifests.merkle import leaf_of, link, root_of
from manifests.moves import open_moved
from manifests.records import ROLES, Triplet
from manifests.shard_index import ShardIndex, ShardIndexes
from manifests.where import WhereError, check, condition, fault_of

_SQL_TYPES = {"int64": "bigint", "double": "double", "string": "varchar", "bool": "boolean"}

SIZES = {f"{role}_{side}": (role, side) for role in ROLES for side in ("width", "height")}
"""Columns of `Snapshot.samples` beside those of `triplets`: the sides of each image in pixels, out of `assets`."""


class SnapshotError(ValueError):
    """A store, or a version of it, cannot be read as asked; the message is one line."""


class Snapshot:
    """One version of a store; its shards are never changed once a commit names them, so it needs no lock."""

    files: Files
    root: str
    version: int
    """Version of the `triplets` table."""
    digest: str
    """What stands for every row of the version: see `_digest`."""

    def __init__(self, root: str | Path, version: int | None = None) -> None:
        """Open a store at a version, or at the newest. Raises SnapshotError where it, or that version, is not there."""
        try:
            self.files = open_moved(root)
            self._options = delta_options(root)
        except (ImportError, OSError) as error:
            raise SnapshotError(str(error)) from None
        self.root = self.files.root
        self._indexes = ShardIndexes(self.files)
        self._triplets = self._open("triplets", version)
        self.version = self._triplets.version()
        self.digest = self._digest()
        there = {field.name for field in self._triplets.schema().fields}
        self._later = [field for field in arrow_schema(Triplet) if field.name not in there]
        self._columns = [*(field.name for field in self._triplets.schema().fields), *(f.name for f in self._later)]

    def samples(self, where: str | None, split: Split | None, columns: Sequence[str]) -> pa.Table:
        """Return the accepted samples that match, in the order in which they lie: by shard, then offset.

        `where` is SQL over the columns of `triplets`, e.g. `layout = 'shifted' and style_similarity > 0.6`; a row on
        which it is null does not match. `columns` are columns of `triplets`, and those of SIZES. Raises WhereError,
        and ValueError on a column that there is not or a store that cannot be read.
        """
        unknown = [name for name in columns if name not in self._columns and name not in SIZES]
        if unknown:
            raise ValueError(f"{self.root}: no column {unknown[0]}; there are {', '.join([*self._columns, *SIZES])}")
        if split is not None and split not in get_args(Split):
            raise ValueError(f"split {split!r} is none of {', '.join(get_args(Split))}")
        read = [name for name in columns if name not in SIZES]
        read += [f"{SIZES[name][0]}_id" for name in columns if name in SIZES]
        rows = self._select(list(dict.fromkeys(read)), where, split)
        return self._with_sizes(rows, columns).select(list(columns))

    def shard_index(self, shard: str) -> ShardIndex:
        """Return the index of a shard by the shard's file name. Raises OSError or ValueError."""
        return self._indexes.get(shard)

    def _select(self, columns: Sequence[str], where: str | None, split: Split | None) -> pa.Table:
        conditions = ["accepted", "shard is not null"]
        if split is not None:
            conditions.append(f"split = '{split}'")
        if where is not None:
            where = where.strip()
            check(where, self._columns, self._source(), lambda sql: _query(self._triplets, sql))
        listed = ", ".join(f'"{name}"' for name in columns) or "1"
        start, end = f"select {listed} from {self._source()} where ", ' order by shard, "offset"'
        whole = [*conditions, condition(where)] if where is not None else conditions
        try:
            rows = _query(self._triplets, start + " and ".join(whole) + end)
        except Exception as error:  # deltalake raises the bare class too
            if where is not None and self._readable(start + " and ".join(conditions) + end):
                raise WhereError(where, fault_of(error, where), self._columns) from None
            raise self._unreadable("triplets", error) from None
        schema = arrow_schema(Triplet)
        known = set(schema.names)
        return rows.cast(pa.schema([schema.field(f.name) if f.name in known else f for f in rows.schema]))

    def _source(self) -> str:
        """Return what is selected from: the table, with the columns that an earlier release did not write as nulls."""
        if not self._later:
            return "triplets"
        nulls = ", ".join(f'cast(null as {_SQL_TYPES[str(field.type)]}) as "{field.name}"' for field in self._later)
        return f"(select *, {nulls} from triplets) as triplets"

    def _with_sizes(self, rows: pa.Table, columns: Sequence[str]) -> pa.Table:
        wanted = {name: SIZES[name] for name in columns if name in SIZES}
        if not wanted:
            return rows
        table = self._open("assets", None)
        try:
            assets = _query(table, "select asset_id, width, height from triplets where width is not null")
        except Exception as error:  # deltalake raises the bare class too
            raise self._unreadable("assets", error) from None
        ids = assets["asset_id"].cast(pa.string()).combine_chunks()
        for role in dict.fromkeys(role for role, _ in wanted.values()):
            at = pc.index_in(rows[f"{role}_id"], value_set=ids)
            for name, (which, side) in wanted.items():
                if which == role:
                    rows = rows.append_column(name, assets[side].take(at))
                    self._refuse_nulls(rows, name, f"{role}_id")
        return rows

    def _refuse_nulls(self, rows: pa.Table, name: str, key: str) -> None:
        if rows[name].null_count:
            lost = rows.filter(pc.is_null(rows[name]))[key]
            raise SnapshotError(
                f"{self.root}: the size of {len(lost)} images is not in the assets table, e.g. {lost[0].as_py()}; "
                f"`triptych store verify --store {self.root}` tells what else is at fault"
            )

    def _digest(self) -> str:
        """Return the chain's digest at this version.

        A commit names the digest of the chain up to it. Changes of rows that stand outside of the chain, such as a
        delete, are linked on to it, so that other rows never have the same digest. Delta's own `history` is not asked:
        at a pinned version it tells of the newest commits.
        """
        outside = []
        for version in range(self.version, -1, -1):
            actions = [json.loads(line) for line in self.files.read(_log("triplets", version)).splitlines() if line]
            info: dict[str, Any] = next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
            if DIGEST in info:
                digest = str(info[DIGEST])
                break
            changed = [a for a in actions for kind in ("add", "remove") if a.get(kind, {}).get("dataChange")]
            if changed:
                outside.append(root_of([leaf_of(action) for action in changed]))
        else:
            digest = GENESIS
        for root in reversed(outside):
            digest = link(digest, root)
        return digest

    def _open(self, name: str, version: int | None) -> DeltaTable:
        """Open a table; its files are asked first, since they tell in words what is wrong with a folder or a server."""
        try:
            self.files.read(_log(name, 0))
        except NoSuchRootError as error:
            raise SnapshotError(str(error)) from None
        except FileNotFoundError:
            raise SnapshotError(
                f"{self.root}: is no store, it has no table `{name}`; name what `triptych curate run --store` wrote"
            ) from None
        except OSError as error:
            raise SnapshotError(str(error)) from None
        if version is not None and version < 0:
            raise SnapshotError(f"{self.root}: versions count from 0, {version} is none")
        try:
            return DeltaTable(self._place(name), version=version, storage_options=self._options)
        except Exception as error:  # deltalake raises the bare class too
            if version is None:
                raise self._unreadable(name, error) from None
            newest = self._open(name, None).version()
            if version <= newest:
                raise self._unreadable(name, error) from None
            raise SnapshotError(f"{self.root}: there is no version {version} yet, the newest is {newest}") from None

    def _place(self, name: str) -> str:
        folder = f"tables/{name}"
        return str(self.files.local_path(folder) or f"{self.root.rstrip('/')}/{folder}")

    def _readable(self, sql: str) -> bool:
        try:
            _query(self._triplets, sql)
        except Exception:  # deltalake raises the bare class too
            return False
        return True

    def _unreadable(self, name: str, error: Exception) -> SnapshotError:
        try:
            self.files.read(_log(name, 0))
        except OSError as plain:
            return SnapshotError(str(plain))
        text = without_secrets(error, self._options)
        if self._taken_down():
            return SnapshotError(
                f"{self.root}: this version of its table `{name}` cannot be read: images of it were taken down since; "
                f"pin version {self._open(name, None).version()}, which is without them"
            )
        return SnapshotError(
            f"{self.root}: its table `{name}` cannot be read; were files vacuumed, or copied only in part? {text}"
        )

    def _taken_down(self) -> bool:
        try:
            self.files.read(_log("erasures", 0))
        except OSError:
            return False
        return True


def _query(table: DeltaTable, sql: str) -> pa.Table:
    """Run SQL on a table. It is pyarrow that pulls the rows: the reader's own `read_all` stops all other threads."""
    return pa.RecordBatchReader.from_stream(QueryBuilder().register("triplets", table).execute(sql)).read_all()


def _log(name: str, version: int) -> str:
    return f"tables/{name}/_delta_log/{version:020}.json"
