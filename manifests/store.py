"""A store: shards, tables and index in one folder, and the only door through which anything is committed."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from filelock import FileLock, Timeout

from manifests.answers import Answers
from manifests.images import Split
from manifests.merkle import leaf_of, link, root_of
from manifests.records import LATER, TIMES
from manifests.shards import Shard
from manifests.tables import TABLES, Table

GENESIS = "0" * 64
"""What the first commit names as the digest of the commit before it."""

ROOT, PREVIOUS, DIGEST, SHARDS = "triptych.root", "triptych.previous", "triptych.digest", "triptych.shards"
"""Keys of a commit's metadata."""


class StoreBusyError(RuntimeError):
    """Another process is writing to the store."""


def commit_root(rows: Sequence[Mapping[str, Any]], shards: Sequence[Mapping[str, Any]]) -> str:
    """Return the Merkle root of a commit: over its rows of `triplets` in order of id, then its shards in order of name.

    `follows` is left out of the rows: it is the commit's own place in the chain, which the digest covers. So are the
    times that candidates took, and columns of later releases where they are null (`manifests.records.LATER`).
    """
    ordered = sorted(rows, key=lambda row: str(row["candidate_id"]))
    leaves = [leaf_of({key: row[key] for key in row if _is_covered(key, row[key])}) for row in ordered]
    return root_of(leaves + [leaf_of(shard) for shard in sorted(shards, key=lambda shard: str(shard["name"]))])


_NOT_COVERED = {"follows", *TIMES}


def _is_covered(column: str, value: Any) -> bool:
    return column not in _NOT_COVERED and (value is not None or column not in LATER)


class Store:
    """One folder that holds a curated data set.

    `<root>/shards/*.tar` with an index beside each, `<root>/index*.json` in the form that `wids` reads,
    `<root>/tables/*` as Delta tables. A shard exists when the `triplets` table says so; files that no commit names
    are left-overs of a run that was cut off, and `garbage` lists them.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.shards = root / "shards"
        self.assets, self.triplets, self.judgements, self.jobs = (
            Table(root / "tables" / name, TABLES[name]) for name in ("assets", "triplets", "judgements", "jobs")
        )

    @property
    def answers(self) -> Answers:
        """Return the judge's answers that are kept until they are committed."""
        return Answers(self.root / "cache" / "answers")

    def strip(self, candidate: str) -> Path:
        """Return where the thumbnails of a rejected candidate lie, if some were kept for the report."""
        return self.root / "report" / "rejected" / f"{candidate}.webp"

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the store's writer lock; it falls with the process that holds it, however that ends.

        Raises StoreBusyError at once where another process holds it.
        """
        self.root.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self.root / ".writer.lock")
        try:
            with lock.acquire(timeout=0):
                yield
        except Timeout:
            raise StoreBusyError(
                f"another job is writing to {self.root}: wait for it to end, or choose another --store"
            ) from None

    def committed_candidates(self) -> set[str]:
        """Return the ids of all candidates that the manifest holds, accepted or rejected."""
        return set(self.triplets.read(["candidate_id"])["candidate_id"].to_pylist())

    def committed_shards(self) -> list[dict[str, Any]]:
        """Return what the manifest says of each shard (name, split, samples, bytes, sha256), in order of name."""
        shards: dict[str, dict[str, Any]] = {}
        for commit in self.triplets.history():
            for shard in json.loads(commit.get(SHARDS, "[]")):
                shards[shard["name"]] = shard
        return [shards[name] for name in sorted(shards)]

    def head(self) -> str:
        """Return the digest of the newest commit, which covers all before it."""
        digests = [commit[DIGEST] for commit in self.triplets.history() if DIGEST in commit]
        return digests[-1] if digests else GENESIS

    def commit(
        self, triplets: pa.Table, assets: pa.Table, shards: Sequence[Shard], *, judgements: pa.Table | None = None
    ) -> None:
        """Commit finished shards, their candidates and the images behind them.

        Assets go first: should the process end between the two writes, rows in `assets` that no triplet names do no
        harm, and the next run adds only those that are missing. The append to `triplets` is the one transaction that
        makes candidates and shards exist.
        """
        self.add_assets(assets)
        if judgements is not None:
            self.add_judgements(judgements)
        described = [
            {"name": s.name, "split": s.split, "samples": s.samples, "bytes": s.bytes, "sha256": s.sha256}
            for s in shards
        ]
        previous = self.head()
        root = commit_root(triplets.to_pylist(), described)
        metadata = {
            ROOT: root,
            PREVIOUS: previous,
            DIGEST: link(previous, root),
            SHARDS: json.dumps(described, sort_keys=True),
        }
        column = triplets.schema.get_field_index("follows")
        stamped = triplets.set_column(column, "follows", pa.array([previous] * triplets.num_rows, pa.string()))
        self.triplets.append(stamped, metadata=metadata)

    def add_assets(self, assets: pa.Table) -> None:
        """Append the assets that the manifest does not hold yet."""
        known = self.assets.read(["ref_id"])["ref_id"]
        fresh = assets.filter(pc.invert(pc.is_in(assets["ref_id"], value_set=known.combine_chunks())))
        if fresh.num_rows:
            seen: set[str] = set()
            first = [ref not in seen and not seen.add(ref) for ref in fresh["ref_id"].to_pylist()]  # type: ignore[func-returns-value]
            self.assets.append(fresh.filter(pa.array(first)))

    def add_judgements(self, judgements: pa.Table) -> None:
        """Append the judgements that the manifest does not hold yet: by what was judged, by whom, with which prompt."""
        keys = ["candidate_id", "judge_digest", "prompt_digest"]
        if judgements.num_rows:
            known = set(zip(*self.judgements.read(keys).to_pydict().values(), strict=True))
            asked = zip(*judgements.select(keys).to_pydict().values(), strict=True)
            fresh = judgements.filter(pa.array([key not in known for key in asked], pa.bool_()))
            if fresh.num_rows:
                self.judgements.append(fresh)

    def write_index(self) -> None:
        """Write `index.json` (all shards) and `index-train.json`, `index-heldout.json` (one split), as `wids` reads."""
        shards = self.committed_shards()
        self._write_index("index.json", shards)
        splits: tuple[Split, ...] = ("train", "heldout")
        for split in splits:
            self._write_index(f"index-{split}.json", [shard for shard in shards if shard["split"] == split])

    def garbage(self) -> list[Path]:
        """Return files in `shards/` that no commit names, and temporary files of writers that were cut off."""
        named = {shard["name"] for shard in self.committed_shards()}
        keep = named | {f"{name}.index.json" for name in named}
        if not self.shards.is_dir():
            return []
        return sorted(path for path in self.shards.iterdir() if path.name not in keep)

    def _write_index(self, name: str, shards: Sequence[dict[str, Any]]) -> None:
        index = {
            "__kind__": "wids-shard-index-v1",
            "wids_version": 1,
            "name": self.root.name,
            "shardlist": [
                {
                    "url": f"shards/{shard['name']}",
                    "nsamples": shard["samples"],
                    "filesize": shard["bytes"],
                    "sha256": shard["sha256"],
                    "split": shard["split"],
                }
                for shard in shards
            ],
        }
        handle, temporary = tempfile.mkstemp(dir=self.root, suffix=".part")
        with os.fdopen(handle, "w") as file:
            json.dump(index, file, indent=1)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(self.root / name)
