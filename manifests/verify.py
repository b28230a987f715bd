"""Verification of a store: every byte of every shard against the manifest, and the chain of commits against itself."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from manifests.identities import asset_id
from manifests.merkle import link
from manifests.records import ROLES
from manifests.shards import index_of, read_samples
from manifests.store import DIGEST, GENESIS, PREVIOUS, ROOT, SHARDS, Store, commit_root


@dataclass
class Verdict:
    """What was checked, and every fault that was found, in words."""

    shards: int = 0
    samples: int = 0
    candidates: int = 0
    faults: list[str] = field(default_factory=list)

    @property
    def sound(self) -> bool:
        """Tell whether no fault was found."""
        return not self.faults


def verify(store: Store, *, progress: Callable[[int, int], None] = lambda _done, _all: None) -> Verdict:
    """Check a store from end to end.

    Every committed shard is there with its sha256, size, index and samples; every image of every sample has the
    sha256 that the manifest gives; every accepted candidate lies in exactly one shard; no candidate stands twice;
    the digests of the commits form one unbroken chain.
    """
    verdict = Verdict()
    ids = store.triplets.read(["candidate_id"])["candidate_id"].to_pylist()
    verdict.candidates = len(ids)
    if len(set(ids)) != len(ids):
        verdict.faults.append(f"{len(ids) - len(set(ids))} candidates stand more than once in the manifest")
    _check_chain(store, verdict)
    stated = _accepted_by_shard(store)
    shards = store.committed_shards()
    for done, shard in enumerate(shards, start=1):
        _check_shard(store, shard["name"], shard["sha256"], stated.pop(shard["name"], {}), verdict)
        progress(done, len(shards))
    for name, rows in stated.items():
        verdict.faults.append(f"{len(rows)} accepted candidates lie in {name}, which no commit names")
    return verdict


def _check_chain(store: Store, verdict: Verdict) -> None:
    previous = GENESIS
    rows = defaultdict(list)
    for row in store.triplets.read().to_pylist():
        rows[row["follows"]].append(row)
    for commit in store.triplets.history():
        if DIGEST not in commit:
            continue
        name = f"commit {commit.get('version')}"
        if commit[PREVIOUS] != previous:
            verdict.faults.append(f"{name} does not follow the commit before it")
        if commit[DIGEST] != link(commit[PREVIOUS], commit[ROOT]):
            verdict.faults.append(f"{name} does not match its own digest")
        if commit_root(rows.pop(commit[PREVIOUS], []), json.loads(commit[SHARDS])) != commit[ROOT]:
            verdict.faults.append(f"the rows of {name} are not those that were committed")
        previous = commit[DIGEST]
    if rows:
        verdict.faults.append(f"{sum(map(len, rows.values()))} rows belong to no commit of the chain")


def _accepted_by_shard(store: Store) -> dict[str, dict[str, dict[str, Any]]]:
    columns = ["candidate_id", "accepted", "shard", *(f"{role}_id" for role in ROLES)]
    by_shard: dict[str, dict[str, dict[str, Any]]] = defaultdict(dict)
    for row in store.triplets.read(columns).to_pylist():
        if row["accepted"]:
            by_shard[row["shard"] or "no shard"][row["candidate_id"]] = row
    return by_shard


def _check_shard(store: Store, name: str, sha256: str, rows: dict[str, dict[str, Any]], verdict: Verdict) -> None:
    path = store.shards / name
    verdict.shards += 1
    if not path.is_file():
        verdict.faults.append(f"shard {name} is missing")
        return
    data = path.read_bytes()
    if asset_id(data) != sha256:
        verdict.faults.append(f"shard {name} has other bytes than were committed")
        return
    beside = path.with_name(f"{name}.index.json")
    stated = json.loads(beside.read_text()) if beside.is_file() else {}
    if stated != index_of(data, name=name, split=stated.get("split", "train")):
        verdict.faults.append(f"the index of shard {name} does not describe it")
    samples = dict(read_samples(path))
    for key in rows.keys() ^ samples.keys():
        verdict.faults.append(f"candidate {key} is in only one of shard {name} and the manifest")
    for key, members in samples.items():
        images = {part.split(".")[0]: asset_id(content) for part, content in members.items()}
        for role in ROLES:
            if key in rows and images.get(role) != rows[key][f"{role}_id"]:
                verdict.faults.append(f"the {role} image of {key} in shard {name} has another sha256 than the manifest")
    verdict.samples += len(samples)
