"""A store: shards, tables and index below one root, and the only door through which anything is committed."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from manifests.answers import Answers
from manifests.chain import JOB, Chain, Link, commit_words, following, live_shards
from manifests.files import Files, WritableFiles, open_writable
from manifests.images import Split
from manifests.moves import MovedFiles
from manifests.shard_joining import join
from manifests.shards import FOLDER, Shard
from manifests.side_tables import SideTable
from manifests.tables import Addition, Table

STRIPS = "report/rejected/"

_SPLITS: tuple[Split, ...] = ("train", "heldout")


@dataclass(frozen=True)
class Committed:
    """What a commit added, and what it left out since another job had committed it meanwhile."""

    triplets: pa.Table
    shards: list[Shard]
    left_out: int = 0
    """Candidates."""


class Store:
    """A curated data set in a local folder, or below `s3://bucket/prefix`.

    `<root>/shards/*.tar` with an index beside each, `<root>/index*.json` in the form that `wids` reads,
    `<root>/tables/*` as Delta tables. A shard exists when the `triplets` table says so; files that no commit names
    are left-overs of a run that was cut off, and `triptych store gc` clears them away.

    Any number of jobs may write at once (docs/store.md). A store can be sent to other processes: what it knows of the
    tables stays behind.
    """

    root: str | Path
    """As the user gave it."""

    def __init__(self, root: str | Path) -> None:
        """Take a store's root; nothing is read yet. Raises as `open_writable`."""
        self.root = root
        self.files: WritableFiles = open_writable(root)
        self.reading: Files = MovedFiles(self.files)
        self.triplets = Table(self.files, "triplets")
        self.assets, self.judgements, self.jobs, self.erasures = (
            SideTable(self.files, name) for name in ("assets", "judgements", "jobs", "erasures")
        )
        self._chain = Chain(self.triplets.log)
        self.triplets.watch(self._chain.take)

    def __reduce__(self) -> tuple[type[Store], tuple[str | Path]]:
        return Store, (self.root,)

    @property
    def name(self) -> str:
        """Return the last part of the root."""
        return Path(self.files.root).name

    @property
    def answers(self) -> Answers:
        """Return the judge's answers that are kept until they are committed."""
        return Answers(self.files, "cache/answers")

    def absolute(self) -> Store:
        """Return the same store under a root that means the same in every working directory."""
        local = self.files.local_path("")
        return self if local is None else Store(local.absolute())

    @property
    def tables(self) -> dict[str, Table]:
        """Return all tables by name."""
        beside = (self.assets, self.judgements, self.jobs, self.erasures)
        return {table.name: table for table in (self.triplets, *beside)}

    def strip(self, candidate: str) -> str:
        """Return under which name the thumbnails of a rejected candidate lie, if some were kept for the report."""
        return f"{STRIPS}{candidate}.webp"

    def committed_candidates(self) -> set[str]:
        """Return the ids of all candidates that the manifest holds, accepted or rejected."""
        return set(self.triplets.read(["candidate_id"])["candidate_id"].to_pylist())

    def links(self) -> list[Link]:
        """Return the commits of the chain, oldest first; those that were read before are not read again."""
        return self._chain.links(self.triplets.catch_up())

    def committed_shards(self) -> list[dict[str, Any]]:
        """Return what the manifest says of each shard that holds the data set, in order of name.

        Each has name, split, samples, bytes and sha256. A shard that a compaction has replaced is not among them.
        """
        return live_shards(self.links())

    def head(self) -> str:
        """Return the digest of the newest commit, which covers all before it."""
        return self._chain.head(self.triplets.catch_up())

    def commit(
        self,
        triplets: pa.Table,
        assets: pa.Table,
        shards: Sequence[Shard],
        *,
        judgements: pa.Table | None = None,
        job: str | None = None,
    ) -> Committed:
        """Commit finished shards, their candidates and the images behind them, and return what was added.

        Assets go first: should the process end between the two writes, rows in `assets` that no triplet names do no
        harm, and the next run adds only those that are missing. The next version of `triplets` is the one write that
        makes candidates and shards exist, and one writer gets it. Candidates that another job committed meanwhile are
        left out, and a shard that holds some of them is written again without them; the file with them is left for gc,
        since a third job may be about to do the same. Raises OSError where a shard is not there.
        """
        self.add_assets(assets)
        if judgements is not None:
            self.add_judgements(judgements)
        for shard in shards:
            self._check_there(shard)
        outcome = Committed(triplets, list(shards))

        def prepare() -> Addition | None:
            nonlocal outcome
            there = self.triplets.known().hold(triplets["candidate_id"]).combine_chunks()
            fresh, left_out = triplets, set[str]()
            kept = list(shards)
            if pc.any(there).as_py():
                left_out = set(triplets.filter(there)["candidate_id"].to_pylist())
                fresh, kept = self._without(triplets.filter(pc.invert(there)), shards, left_out)
            outcome = Committed(fresh, kept, len(left_out))
            if not fresh.num_rows and not kept:
                return None
            previous = self._chain.head(self.triplets.version)
            words = commit_words(previous, fresh.to_pylist(), [shard.described() for shard in kept])
            return Addition(following(fresh, previous), words | ({JOB: job} if job else {}))

        self.triplets.commit(prepare)
        return outcome

    def add_assets(self, assets: pa.Table) -> None:
        """Append the assets that the manifest does not hold yet."""
        self.assets.append_once(assets)

    def add_judgements(self, judgements: pa.Table) -> None:
        """Append the judgements that the manifest does not hold yet: by what was judged, by whom, with which prompt."""
        self.judgements.append_once(judgements)

    def commit_joined(self, shards: Sequence[dict[str, Any]], replaced: Collection[str]) -> bool:
        """Commit shards made of parts of others, and tell whether: not where one of those is replaced already."""
        done = False

        def prepare() -> Addition | None:
            nonlocal done
            version = self.triplets.version
            done = set(replaced) <= {shard["name"] for shard in live_shards(self._chain.links(version))}
            if not done:
                return None
            return Addition(self.triplets.schema.empty_table(), commit_words(self._chain.head(version), [], shards))

        self.triplets.commit(prepare)
        return done

    def erasing_words(self, shards: Sequence[Mapping[str, Any]], erased: Mapping[str, Any]) -> dict[str, str]:
        """Return what the next version of `triplets` says of itself when it is a takedown's: see `chain.ERASED`."""
        return commit_words(self._chain.head(self.triplets.version), [], shards, erased=erased)

    def write_index(self) -> None:
        """Write `index.json` (all shards) and `index-train.json`, `index-heldout.json` (one split), as `wids` reads.

        Where another job commits meanwhile they are written again, so that the last writer's are the newest.
        """
        while True:
            version = self.triplets.catch_up()
            shards = live_shards(self._chain.links(version))
            self._write_index("index.json", shards)
            for split in _SPLITS:
                self._write_index(f"index-{split}.json", [shard for shard in shards if shard["split"] == split])
            if self.triplets.catch_up() == version:
                return

    def _without(
        self, rows: pa.Table, shards: Sequence[Shard], left_out: Collection[str]
    ) -> tuple[pa.Table, list[Shard]]:
        """Return rows and shards without some candidates; rows are told in which shard they lie now, and where."""
        kept, places = list[Shard](), dict[str, tuple[str, int]]()
        for shard in shards:
            keep = shard.offsets.keys() - left_out
            if len(keep) == len(shard.offsets):
                kept.append(shard)
            elif keep:
                kept.append(join(self.files, [shard.name], split=shard.split, keep=keep).shard)
                places |= {key: (kept[-1].name, offset) for key, offset in kept[-1].offsets.items()}
        if not places:
            return rows, kept
        changed = rows.to_pylist()
        for row in changed:
            row["shard"], row["offset"] = places.get(row["candidate_id"], (row["shard"], row["offset"]))
        return pa.Table.from_pylist(changed, rows.schema), kept

    def _check_there(self, shard: Shard) -> None:
        size = self.files.stat(f"{FOLDER}/{shard.name}").size
        if size != shard.bytes:
            raise OSError(
                f"{self.files.root}/{FOLDER}/{shard.name} has {size} bytes, not {shard.bytes} as it was written"
            )

    def _write_index(self, name: str, shards: Sequence[dict[str, Any]]) -> None:
        index = {
            "__kind__": "wids-shard-index-v1",
            "wids_version": 1,
            "name": self.name,
            "shardlist": [
                {
                    "url": f"{FOLDER}/{shard['name']}",
                    "nsamples": shard["samples"],
                    "filesize": shard["bytes"],
                    "sha256": shard["sha256"],
                    "split": shard["split"],
                }
                for shard in shards
            ],
        }
        self.files.put(name, json.dumps(index, indent=1).encode())
