"""The log of one Delta table: read entry by entry, and appended to by claiming the next number.

deltalake reads tables, compacts and vacuums them, and writes checkpoints. It does not append here, since it takes the
list of all files through its hands at every commit (300 ms at 1,500 files, and growing), while a claim of the next
number costs the same in a large store as in a small one. What is written is Delta's own protocol, as any reader knows
it: https://github.com/delta-io/delta/blob/master/PROTOCOL.md ("Delta Log Entries", "Actions").
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, unquote

import pyarrow as pa
from deltalake import Schema

from manifests.files import WritableFiles
from manifests.identities import asset_id

KEEP_HISTORY = {"delta.logRetentionDuration": "interval 36500 days"}
"""An audit walks the whole history, so Delta must never expire it on its own."""

_WRITER_VERSION = 2
"""Newest version of the protocol whose tables are appended to here; later ones ask for more than an entry."""

SHA256 = "triptych.sha256"
"""Tag of a data file in the log."""

_ENGINE = "triptych"
_READERS = 16


class DeltaLogError(OSError):
    """A table's log is not as this release can go on with."""


@dataclass(frozen=True)
class DataFile:
    """One Parquet file of a table: its path below the table's folder, and its size in bytes."""

    path: str
    size: int
    rows: int | None = None
    """How many rows the log says it has."""
    sha256: str | None = None
    """Of its bytes, where it was written here and not by another program."""


@dataclass(frozen=True)
class Entry:
    """One version of a table: what its commit says of itself, and the data files that came and went."""

    version: int
    info: Mapping[str, Any]
    added: list[DataFile] = field(default_factory=list)
    """Files with rows that are new."""
    rewritten: list[DataFile] = field(default_factory=list)
    """Files with rows of before, as compaction leaves them."""
    removed: list[str] = field(default_factory=list)
    metadata: Mapping[str, Any] | None = None
    protocol: Mapping[str, Any] | None = None

    @classmethod
    def parse(cls, version: int, data: bytes) -> Entry:
        """Return what one file of a log says. Raises DeltaLogError on one that was cut off or is none."""
        try:
            actions: list[dict[str, Any]] = [json.loads(line) for line in data.splitlines() if line.strip()]
            found = {name: value for action in actions for name, value in action.items()}
            adds = [action["add"] for action in actions if "add" in action]
            return cls(
                version,
                found.get("commitInfo", {}),
                [_data_file(add) for add in adds if add["dataChange"]],
                [_data_file(add) for add in adds if not add["dataChange"]],
                [unquote(action["remove"]["path"]) for action in actions if "remove" in action],
                found.get("metaData"),
                found.get("protocol"),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DeltaLogError(f"version {version} of a table cannot be read ({type(error).__name__})") from None


class DeltaLog:
    """The log below `<folder>/_delta_log/`."""

    def __init__(self, files: WritableFiles, folder: str) -> None:
        self._files = files
        self.folder = folder

    def newest(self) -> int:
        """Return the newest version, -1 where there is no table yet. Asks for a listing of the log."""
        versions = (_version_of(found.name) for found in self._files.list(f"{self.folder}/_delta_log/"))
        return max((version for version in versions if version is not None), default=-1)

    def read(self, version: int) -> Entry | None:
        """Return one version, None where there is none yet."""
        try:
            return Entry.parse(version, self._files.read(self._name(version)))
        except FileNotFoundError:
            return None

    def between(self, first: int, last: int) -> Iterator[Entry]:
        """Yield the versions from the first to the last, in order. Raises DeltaLogError where one is missing."""
        with ThreadPoolExecutor(_READERS) as pool:
            for start in range(first, last + 1, 64 * _READERS):
                numbers = range(start, min(start + 64 * _READERS, last + 1))
                for version, entry in zip(numbers, pool.map(self.read, numbers), strict=True):
                    if entry is None:
                        raise DeltaLogError(f"{self._files.root}/{self._name(version)} is missing: the log has a gap")
                    yield entry

    def after(self, version: int) -> Iterator[Entry]:
        """Yield the versions that came after one, until there is none."""
        while (entry := self.read(version + 1)) is not None:
            yield entry
            version += 1

    def claim(self, version: int, actions: list[dict[str, Any]]) -> Entry | None:
        """Write a version unless another writer has, and return it; None where another one was first."""
        data = "".join(json.dumps(action, separators=(",", ":")) + "\n" for action in actions).encode()
        return Entry.parse(version, data) if self._files.put_if_absent(self._name(version), data) else None

    def _name(self, version: int) -> str:
        return f"{self.folder}/_delta_log/{version:020}.json"


def _data_file(add: Mapping[str, Any]) -> DataFile:
    rows = json.loads(add.get("stats") or "{}").get("numRecords")
    return DataFile(unquote(add["path"]), add["size"], rows, (add.get("tags") or {}).get(SHA256))


def commit_info(operation: str, info: Mapping[str, str]) -> dict[str, Any]:
    """Return the action that says who commits what; its token tells any two commits apart."""
    return {
        "commitInfo": {
            "timestamp": round(time.time() * 1000),
            "operation": operation,
            "operationParameters": {"mode": "Append"},
            "engineInfo": _ENGINE,
            "triptych.token": uuid.uuid4().hex,
            **info,
        }
    }


def add_file(name: str, data: bytes, rows: int, *, changed: bool = True) -> dict[str, Any]:
    """Return the action that adds a data file.

    Of statistics it has the number of rows alone: bounds of sixty columns would make up most of the log, and what is
    asked of these tables are digests, of which every file has all.
    """
    return {
        "add": {
            "path": name,
            "partitionValues": {},
            "size": len(data),
            "modificationTime": round(time.time() * 1000),
            "dataChange": changed,
            "stats": json.dumps({"numRecords": rows}),
            "tags": {SHA256: asset_id(data)},
        }
    }


def remove_file(path: str, *, changed: bool = True) -> dict[str, Any]:
    """Return the action that takes a data file out of a table."""
    return {
        "remove": {"path": quote(path), "deletionTimestamp": round(time.time() * 1000), "dataChange": changed},
    }


def new_table(schema: pa.Schema) -> list[dict[str, Any]]:
    """Return the actions that make a table."""
    metadata = {
        "id": str(uuid.uuid4()),
        "format": {"provider": "parquet", "options": {}},
        "schemaString": Schema.from_arrow(schema).to_json(),
        "partitionColumns": [],
        "configuration": KEEP_HISTORY,
        "createdTime": round(time.time() * 1000),
    }
    return [{"protocol": {"minReaderVersion": 1, "minWriterVersion": _WRITER_VERSION}}, {"metaData": metadata}]


def widened(metadata: Mapping[str, Any], schema: pa.Schema) -> dict[str, Any] | None:
    """Return the action that adds the columns of a schema that a table lacks, None where it lacks none."""
    there = json.loads(metadata["schemaString"])
    names = {column["name"] for column in there["fields"]}
    ours = json.loads(Schema.from_arrow(schema).to_json())["fields"]
    fresh = [column for column in ours if column["name"] not in names]
    if not fresh:
        return None
    there["fields"] += [{**column, "nullable": True} for column in fresh]
    return {"metaData": {**metadata, "schemaString": json.dumps(there)}}


def check_protocol(protocol: Mapping[str, Any], place: str) -> None:
    """Raise DeltaLogError on a table that some other program has lifted to a protocol that asks for more."""
    needed = int(protocol.get("minWriterVersion", 0))
    if needed > _WRITER_VERSION:
        raise DeltaLogError(
            f"{place} asks its writers for version {needed} of Delta's protocol, and {_WRITER_VERSION} is known here"
        )


def _version_of(name: str) -> int | None:
    base = name.rpartition("/")[2]
    stem, _, extension = base.partition(".")
    return int(stem) if extension == "json" and len(stem) == 20 and stem.isdigit() else None
