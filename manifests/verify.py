"""Verification of a store: every byte of every shard against the manifest, and the chain of commits against itself."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field

import pyarrow.dataset as pads

from manifests.identities import asset_id
from manifests.merkle import link
from manifests.records import ROLES
from manifests.shards import index_of, read_samples
from manifests.store import GENESIS, Store


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
    shards = store.committed_shards()
    in_shards = 0
    for done, shard in enumerate(shards, start=1):
        in_shards += _check_shard(store, shard["name"], shard["sha256"], verdict)
        progress(done, len(shards))
    accepted = store.triplets.dataset().count_rows(filter=pads.field("accepted"))
    if accepted != in_shards:
        verdict.faults.append(f"{accepted} candidates are accepted, but the shards hold {in_shards}")
    return verdict


def _check_chain(store: Store, verdict: Verdict) -> None:
    previous = GENESIS
    for commit in store.triplets.history():
        if "triptych.digest" not in commit:
            continue
        if commit["triptych.previous"] != previous:
            verdict.faults.append(f"commit {commit.get('version')} does not follow the commit before it")
        if commit["triptych.digest"] != link(commit["triptych.previous"], commit["triptych.root"]):
            verdict.faults.append(f"commit {commit.get('version')} does not match its own digest")
        previous = commit["triptych.digest"]


def _check_shard(store: Store, name: str, sha256: str, verdict: Verdict) -> int:
    path = store.shards / name
    verdict.shards += 1
    if not path.is_file():
        verdict.faults.append(f"shard {name} is missing")
        return 0
    data = path.read_bytes()
    if asset_id(data) != sha256:
        verdict.faults.append(f"shard {name} has other bytes than were committed")
        return 0
    beside = path.with_name(f"{name}.index.json")
    stated = json.loads(beside.read_text()) if beside.is_file() else {}
    if stated != index_of(data, name=name, split=stated.get("split", "train")):
        verdict.faults.append(f"the index of shard {name} does not describe it")
    columns = ["candidate_id", "offset", *(f"{role}_id" for role in ROLES)]
    rows = {row["candidate_id"]: row for row in store.triplets.read(columns, pads.field("shard") == name).to_pylist()}
    samples = dict(read_samples(path))
    for key in rows.keys() ^ samples.keys():
        verdict.faults.append(f"candidate {key} is in only one of shard {name} and the manifest")
    for key, members in samples.items():
        images = {part.split(".")[0]: asset_id(content) for part, content in members.items()}
        for role in ROLES:
            if key in rows and images.get(role) != rows[key][f"{role}_id"]:
                verdict.faults.append(f"the {role} image of {key} in shard {name} has another sha256 than the manifest")
    verdict.samples += len(samples)
    return len(samples)
