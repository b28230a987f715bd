"""The edges of the graph: what a thing was made of, and what was made of it. Each of the two is the other reversed."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from manifests.audit.graph import Edge, Kind, Node
from manifests.audit.ledger import Ledger
from manifests.audit.lookup import by_refs, rows_in, users_of
from manifests.audit.training_runs import Times, TrainingRun
from manifests.images import GENERATED
from manifests.records import ROLES

_CANDIDATE = "candidate_id, accepted, shard, follows, retries, attempt, route, target_ref, content_ref, style_ref, " + (
    "subject, style, layout"
)
_IMAGE = "ref_id, asset_id, role, source, locator, package, treatment, transform, refused, subject, style"


class Kinship:
    """Parents and children of nodes in one store, and in the training runs that read it.

    package -> file -> image -> candidate -> shard -> commit; a rejected candidate lies in no shard, and leads to its
    commit itself. A candidate leads to its further attempts, to the runs that may have seen it, and to the checkpoints
    whose weights were trained on it; an edge that a record does not suffice to tell for certain is marked so.
    """

    def __init__(self, ledger: Ledger, runs: Sequence[TrainingRun] = (), times: Times | None = None) -> None:
        self._ledger = ledger
        self._runs = {run.key: run for run in runs}
        self._times = times
        self.labels: dict[str, str] = {}
        self.notes: dict[str, None] = {}

    def children(self, nodes: Sequence[Node]) -> Iterator[Edge]:
        """Yield the edges out of some nodes."""
        ways: dict[Kind, Callable[[Sequence[str]], Iterable[Edge]]] = {
            "package": self._of_packages,
            "file": self._of_files,
            "image": self._of_images,
            "candidate": self._of_candidates,
            "shard": self._of_shards,
        }
        yield from _by_kind(nodes, ways)

    def parents(self, nodes: Sequence[Node]) -> Iterator[Edge]:
        """Yield the edges into some nodes."""
        ways: dict[Kind, Callable[[Sequence[str]], Iterable[Edge]]] = {
            "file": self._to_files,
            "image": self._to_images,
            "candidate": self._to_candidates,
            "shard": self._to_shards,
            "commit": self._to_commits,
            "run": self._to_runs,
            "checkpoint": self._to_checkpoints,
        }
        yield from _by_kind(nodes, ways)

    def name_start(self, node: Node) -> None:
        """Learn what a person calls a node from which a walk begins."""
        if node.kind == "candidate":
            list(self._candidates("candidate_id", [node.key]))
        elif node.kind == "image":
            list(map(self._image, by_refs(self._ledger, [node.key])))

    def _of_packages(self, keys: Sequence[str]) -> Iterator[Edge]:
        wanted = set(keys)
        for row in self._images_by("parcel", keys):
            for package in wanted & set((row["package"] or "").split("; ")):
                yield self._package_edge(row, package)

    def _of_files(self, keys: Sequence[str]) -> Iterator[Edge]:
        for row in self._images_by("origin", keys):
            yield self._file_edge(row, _place(row))
        wanted = set(keys)
        for row in self._images_by("input", keys):
            for place in wanted & set(_inputs(row)):
                yield self._file_edge(row, place)

    def _of_images(self, keys: Sequence[str]) -> Iterator[Edge]:
        wanted = set(keys)
        for row in users_of(self._ledger, keys, columns=_CANDIDATE):
            yield from (edge for edge in self._image_edges(row) if edge.source.key in wanted)

    def _of_candidates(self, keys: Sequence[str]) -> Iterator[Edge]:
        rows = list(self._candidates("candidate_id", keys))
        for row in rows:
            yield from self._places(row)
        for row in self._candidates("retries", keys):
            yield self._attempt_edge(row)
        yield from self._trained_on(rows)

    def _of_shards(self, keys: Sequence[str]) -> Iterator[Edge]:
        yield from self._shards_to_commits(keys)
        yield from (self._joined_edge(key) for key in keys if key in self._ledger.joined)

    def _joined_edge(self, shard: str) -> Edge:
        return Edge(Node("shard", shard), Node("shard", self._ledger.joined[shard]), "joined into")

    def _shards_to_commits(self, keys: Iterable[str]) -> Iterator[Edge]:
        for key in keys:
            if key in self._ledger.shards:
                yield Edge(Node("shard", key), self._commit(self._ledger.shards[key][0].version), "committed in")

    def _to_files(self, keys: Sequence[str]) -> Iterator[Edge]:
        for row in self._images_by("origin", keys):
            if row["package"]:
                yield from (self._package_edge(row, package) for package in row["package"].split("; "))

    def _to_images(self, keys: Sequence[str]) -> Iterator[Edge]:
        for row in by_refs(self._ledger, keys):
            if row["source"] != GENERATED:
                yield self._file_edge(row, _place(row))
                continue
            yield from (self._file_edge(row, place) for place in _inputs(row))
            yield from (self._package_edge(row, package) for package in (row["package"] or "").split("; ") if package)

    def _to_candidates(self, keys: Sequence[str]) -> Iterator[Edge]:
        rows = list(self._candidates("candidate_id", keys))
        for row in rows:
            yield from self._image_edges(row)
            if row["retries"]:
                yield self._attempt_edge(row)
        refs = sorted({row[f"{role}_ref"] for row in rows for role in ROLES if row[f"{role}_ref"]})
        list(map(self._image, by_refs(self._ledger, refs)))

    def _to_shards(self, keys: Sequence[str]) -> Iterator[Edge]:
        for row in self._candidates("shard", keys):
            yield from self._places(row)
        yield from (self._joined_edge(part) for part, whole in self._ledger.joined.items() if whole in keys)

    def _to_commits(self, keys: Sequence[str]) -> Iterator[Edge]:
        wanted = {int(key) for key in keys if key.isdigit()}
        commits = [commit for commit in self._ledger.commits if commit.version in wanted]
        for commit in commits:
            yield from self._shards_to_commits(shard["name"] for shard in commit.shards)
        previous = [commit.previous for commit in commits if commit.digest]
        for row in self._candidates("follows", previous):
            if not row["shard"]:
                yield from self._places(row)

    def _to_runs(self, keys: Sequence[str]) -> Iterator[Edge]:
        for key in keys:
            if key in self._runs:
                yield from self._run_edges(self._runs[key])

    def _to_checkpoints(self, keys: Sequence[str]) -> Iterator[Edge]:
        for run in {
            run.key: run for key in keys for run in self._runs.values() if key.startswith(f"{run.key}/")
        }.values():
            rows = list(self._seen_by(run))
            yield from (edge for edge in self._checkpoint_edges(run, rows) if edge.target.key in keys)

    def _trained_on(self, rows: Sequence[dict[str, Any]]) -> Iterator[Edge]:
        for run in self._runs.values():
            if run.recorded:
                among = run.among([row["candidate_id"] for row in rows])
                seen = [row for row in rows if row["candidate_id"] in among]
            else:
                seen = [row for row in rows if row["accepted"] and self._may_have_seen(run, row)]
            if seen:
                yield from (self._run_edge(run, row) for row in seen)
                yield from self._checkpoint_edges(run, seen)

    def _run_edges(self, run: TrainingRun) -> Iterator[Edge]:
        for row in self._seen_by(run):
            yield self._run_edge(run, row)

    def _seen_by(self, run: TrainingRun) -> Iterator[dict[str, Any]]:
        """Yield the candidates of this store that a run may have seen."""
        if run.recorded:
            yield from self._candidates("candidate_id", run.samples())
        elif run.reads(self._digests) is not None:
            table = self._ledger.triplets
            for row in self._ledger.rows(f"SELECT {_CANDIDATE} FROM ({table.select()}) WHERE accepted"):
                if self._may_have_seen(run, row):
                    yield row

    def _may_have_seen(self, run: TrainingRun, row: dict[str, Any]) -> bool:
        version = run.reads(self._digests)
        if version is None:
            return False
        where = next((data.get("where") for data in run.facts.get("data", []) if data.get("where")), None)
        self.notes[
            f"{run.folder} lists no samples (samples.parquet is missing): it read version {version} of this store"
            + (f" where {where}" if where else "")
            + ", and may have seen every accepted candidate of it"
        ] = None
        commit = self._ledger.by_previous.get(row["follows"])
        return commit is not None and commit.version <= version

    def _checkpoint_edges(self, run: TrainingRun, rows: Sequence[dict[str, Any]]) -> Iterator[Edge]:
        ids = [row["candidate_id"] for row in rows]
        known = self._known_times(run, ids)
        if known is None:
            for path in run.checkpoints:
                node = self._checkpoint(run, path)
                yield from (Edge(Node("candidate", one), node, "may have been trained on it", False) for one in ids)
            return
        for one, used in known.items():
            for path, times in used:
                if times:
                    label = f"trained on it {times} times" if times > 1 else "trained on it once"
                    yield Edge(Node("candidate", one), self._checkpoint(run, path), label)

    def _known_times(self, run: TrainingRun, ids: Sequence[str]) -> dict[str, list[tuple[Path, int]]] | None:
        """Return how often checkpoints were trained on candidates; None where the record does not suffice."""
        if self._times is None or not run.recorded:
            return None
        try:
            return self._times(run.folder, ids)
        except (OSError, ValueError) as error:
            self.notes[f"how often the checkpoints of {run.folder} used a sample cannot be told: {error}"] = None
            return None

    def _candidates(self, column: str, keys: Sequence[str]) -> Iterator[dict[str, Any]]:
        for row in rows_in(self._ledger, self._ledger.triplets, column, keys, columns=_CANDIDATE):
            verdict = "accepted" if row["accepted"] else "rejected"
            node = Node("candidate", row["candidate_id"])
            self.labels[str(node)] = f"{row['candidate_id'][:12]} {row['subject']}, {row['style']}, {verdict}"
            yield row

    def _images_by(self, key: str, values: Sequence[str]) -> Iterator[dict[str, Any]]:
        """Yield the images of some files, inputs or packages; of the rows with a digest, those that match in full."""
        table = self._ledger.assets
        digests = [hashlib.md5(value.encode(), usedforsecurity=False).hexdigest() for value in values]
        files = self._ledger.index.files(table, [key], digests)
        conditions = {
            "origin": "source <> 'generated' AND list_contains($values, source || ':' || locator)",
            "input": "source = 'generated'",
            "parcel": "list_has_any(string_split(package, '; '), $values)",
        }
        sql = f"SELECT {_IMAGE} FROM ({table.select(files)}) WHERE {conditions[key]}"
        for row in self._ledger.rows(sql, {"values": list(values)} if "$values" in sql else {}):
            self._image(row)
            yield row

    def _image_edges(self, row: dict[str, Any]) -> Iterator[Edge]:
        target = Node("candidate", row["candidate_id"])
        self.labels.setdefault(str(target), f"{row['candidate_id'][:12]} {row['subject']}, {row['style']}")
        for role in ROLES:
            if row[f"{role}_ref"]:
                yield Edge(Node("image", row[f"{role}_ref"]), target, f"is its {role}")

    def _places(self, row: dict[str, Any]) -> Iterator[Edge]:
        source = Node("candidate", row["candidate_id"])
        if row["shard"]:
            yield Edge(source, Node("shard", row["shard"]), "lies in")
        elif row["follows"] in self._ledger.by_previous:
            commit = self._ledger.by_previous[row["follows"]]
            yield Edge(source, self._commit(commit.version), "recorded in, without its images")

    def _attempt_edge(self, row: dict[str, Any]) -> Edge:
        label = f"tried again: attempt {row['attempt']}, route {row['route']}"
        return Edge(Node("candidate", row["retries"]), Node("candidate", row["candidate_id"]), label)

    def _file_edge(self, row: dict[str, Any], place: str) -> Edge:
        drawn = row["source"] == GENERATED
        how = "seen by the expert that drew" if drawn else f"painted: {row['treatment']}"
        return Edge(Node("file", place), self._image(row), "" if not drawn and row["treatment"] == "none" else how)

    def _package_edge(self, row: dict[str, Any], package: str) -> Edge:
        if row["source"] == GENERATED:
            return Edge(Node("package", package), self._image(row), "carried what the expert saw")
        return Edge(Node("package", package), Node("file", _place(row)), "carries")

    def _run_edge(self, run: TrainingRun, row: dict[str, Any]) -> Edge:
        node = Node("run", run.key)
        self.labels[str(node)] = f"{run.name} ({run.folder})"
        label = "among its samples" if run.recorded else "may have been seen by"
        return Edge(Node("candidate", row["candidate_id"]), node, label, run.recorded)

    def _checkpoint(self, run: TrainingRun, path: Path) -> Node:
        node = Node("checkpoint", str(path))
        self.labels[str(node)] = f"{run.name}, {path.name}"
        return node

    def _commit(self, version: int) -> Node:
        node = Node("commit", str(version))
        commit = self._ledger.commits[version]
        self.labels[str(node)] = f"version {version}, {commit.time:%Y-%m-%d %H:%M} UTC, digest {commit.digest[:12]}"
        return node

    def _image(self, row: dict[str, Any]) -> Node:
        node = Node("image", row["ref_id"])
        name = f"asset {row['asset_id'][:12]}" if row["asset_id"] else f"refused at ingest ({row['refused']})"
        self.labels[str(node)] = f"{name}: {row['subject']}, {row['style']}"
        return node

    @cached_property
    def _digests(self) -> set[str]:
        return {commit.digest for commit in self._ledger.commits if commit.digest}


def _by_kind(nodes: Sequence[Node], ways: dict[Kind, Callable[[Sequence[str]], Iterable[Edge]]]) -> Iterator[Edge]:
    keys: dict[Kind, list[str]] = defaultdict(list)
    for node in nodes:
        keys[node.kind].append(node.key)
    for kind, own in keys.items():
        if kind in ways:
            yield from ways[kind](own)


def _place(row: dict[str, Any]) -> str:
    return f"{row['source']}:{row['locator']}"


def _inputs(row: dict[str, Any]) -> list[str]:
    """Return the files that an expert saw. Each stands as `source:locator style`; names of styles have no spaces."""
    inputs: list[str] = json.loads(row["transform"] or "{}").get("inputs", [])
    return [text.rpartition(" ")[0] for text in inputs]
