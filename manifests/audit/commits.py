"""The commits of a store, out of the log of its `triplets` table."""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from manifests.audit.cache import write_whole
from manifests.chain import DIGEST, JOB, PREVIOUS, ROOT, SHARDS
from manifests.files import Files

_READERS = 8


@dataclass(frozen=True)
class Commit:
    """One version of the `triplets` table, and what made it.

    `digest`, `previous` and `root` are empty where the version stands outside of the chain (a delete, a compaction).
    """

    version: int
    milliseconds: int
    operation: str
    digest: str
    previous: str
    root: str
    rows_added: int
    files_removed: int
    job: str = ""
    shards: list[dict[str, Any]] = field(default_factory=list)

    @property
    def time(self) -> datetime:
        """Return when it was committed, by the clock of the machine that did."""
        return datetime.fromtimestamp(self.milliseconds / 1000, UTC)


def read_commits(files: Files, newest: int, kept: Path | None) -> list[Commit]:
    """Return the commits up to a version, oldest first.

    Of a local store, those that did not change since the last call are taken from the file `kept`: its entries
    carry size and time of the log file that they were read from. Raises OSError where a part of the log is missing.
    """
    known = _known(kept)
    marks = {version: _mark(files, version) for version in range(newest + 1)}
    missing = [version for version, mark in marks.items() if mark is None or known.get(version, (None,))[0] != mark]

    def read(version: int) -> Commit:
        return parse_commit(version, files.read(log_name("triplets", version)))

    with ThreadPoolExecutor(_READERS) as pool:
        fresh = dict(zip(missing, pool.map(read, missing), strict=True))
    found = {version: fresh[version] if version in fresh else known[version][1] for version in marks}
    if kept is not None and any(marks[version] is not None for version in fresh):
        lines = {version: (mark, commit) for version, (mark, commit) in known.items() if version > newest}
        lines |= {version: (mark, found[version]) for version, mark in marks.items() if mark is not None}
        write_whole(
            kept, "".join(json.dumps([m, asdict(commit)]) + "\n" for _, (m, commit) in sorted(lines.items())).encode()
        )
    return [found[version] for version in range(newest + 1)]


def parse_commit(version: int, log: bytes) -> Commit:
    """Return what one file of a Delta log says."""
    actions: list[Mapping[str, Any]] = [json.loads(line) for line in log.splitlines() if line.strip()]
    info: Mapping[str, Any] = next((action["commitInfo"] for action in actions if "commitInfo" in action), {})
    added = [action["add"] for action in actions if "add" in action]
    return Commit(
        version=version,
        milliseconds=int(info.get("timestamp", 0)),
        operation=str(info.get("operation", "")),
        digest=str(info.get(DIGEST, "")),
        previous=str(info.get(PREVIOUS, "")),
        root=str(info.get(ROOT, "")),
        rows_added=sum(int(json.loads(add.get("stats") or "{}").get("numRecords", 0)) for add in added),
        files_removed=sum("remove" in action for action in actions),
        job=str(info.get(JOB, "")),
        shards=json.loads(info.get(SHARDS, "[]")),
    )


def log_name(table: str, version: int) -> str:
    """Return where the log of one version of a table lies in a store."""
    return f"tables/{table}/_delta_log/{version:020}.json"


Mark = list[int]


def _known(kept: Path | None) -> dict[int, tuple[Mark | None, Commit]]:
    if kept is None or not kept.is_file():
        return {}
    try:
        lines = [json.loads(line) for line in kept.read_text().splitlines()]
        return {raw["version"]: (mark, Commit(**raw)) for mark, raw in lines}
    except (ValueError, TypeError, KeyError):  # of another release: made again
        return {}


def _mark(files: Files, version: int) -> Mark | None:
    path = files.local_path(log_name("triplets", version))
    if path is None:
        return None
    facts = path.stat()
    return [facts.st_size, facts.st_mtime_ns]


def job_of(commit: Commit, jobs: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the job that made a commit; None where it left no record, as one that is killed outright.

    A commit names its job. Those of earlier releases did not: then it is the job that ran at the time of the commit, of
    which there was one at most, since a store had one writer at a time.
    """
    for job in jobs:
        if job["job_id"] == commit.job or (not commit.job and job["started"] <= commit.time <= job["finished"]):
            return job
    return None
