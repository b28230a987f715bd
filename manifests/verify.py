"""Verification of a store: every byte of every shard against the manifest, and the chain of commits against itself."""

from __future__ import annotations

import io
import tarfile
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from manifests.chain import GENESIS, Link, live_shards, root_of_leaves, row_leaf
from manifests.files.range_file import RangeFile
from manifests.merkle import link
from manifests.moves import homes, replaced_shards
from manifests.records import ROLES
from manifests.shard_joining import DamagedShardError, read_index
from manifests.shards import FOLDER, index_of_stream
from manifests.store import Store

_AT_ONCE = 8
_BUFFER = 4 * 2**20

Images = dict[str, tuple[str | None, ...]]
"""Of each candidate of a shard, the asset ids of its images, in the order of ROLES."""


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
    """Check a store from end to end; some shards are read at once, each as a stream.

    Every committed shard is there with its sha256, size, index and samples; every image of every sample has the
    sha256 that the manifest gives; every accepted candidate lies in exactly one shard; no candidate and no image of
    `assets` stands twice; the digests of the commits form one unbroken chain. Shards that a compaction has replaced
    are checked as long as they are there.
    """
    verdict = Verdict()
    links = store.links()
    leaves, stated = _read_rows(store, verdict)
    _check_chain(links, leaves, verdict)
    _check_assets(store, verdict)
    into = homes(links)
    by_home: dict[str, Images] = defaultdict(dict)
    for name, images in stated.items():
        by_home[into.get(name, name)].update(images)
    live = live_shards(links)
    for name in by_home.keys() - {shard["name"] for shard in live}:
        verdict.faults.append(f"{len(by_home[name])} accepted candidates lie in {name}, which no commit names")
    checks: list[tuple[Mapping[str, Any], Images | None]]
    checks = [(shard, by_home.get(shard["name"], {})) for shard in live]
    checks += [(shard, None) for shard in _left_of_compactions(store, links)]
    lock, done = threading.Lock(), 0

    def check(shard: Mapping[str, Any], images: Images | None) -> tuple[int, list[str]]:
        nonlocal done
        result = _check_shard(store, shard, images)
        with lock:
            done += 1
            progress(done, len(checks))
        return result

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        results = list(pool.map(check, *zip(*checks, strict=True))) if checks else []
    verdict.shards = len(live)
    verdict.samples = sum(samples for samples, _ in results[: len(live)])
    verdict.faults += [fault for _, faults in results for fault in faults]
    return verdict


def _read_rows(store: Store, verdict: Verdict) -> tuple[dict[str, list[tuple[str, bytes]]], dict[str, Images]]:
    """Return leaf hashes of all rows by the commit that they follow, and the images of accepted ones by shard.

    Rows pass by as a stream; what is kept of one are its hashes.
    """
    leaves: dict[str, list[tuple[str, bytes]]] = defaultdict(list)
    stated: dict[str, Images] = defaultdict(dict)
    seen: set[str] = set()
    twice = 0
    for batch in store.triplets.batches(store.triplets.schema.names):
        for row in pa.Table.from_batches([batch]).cast(store.triplets.schema).to_pylist():
            key = row["candidate_id"]
            twice += key in seen
            seen.add(key)
            leaves[row["follows"]].append((key, row_leaf(row)))
            if row["accepted"]:
                stated[row["shard"] or "no shard"][key] = tuple(row[f"{role}_id"] for role in ROLES)
    verdict.candidates = len(seen) + twice
    if twice:
        verdict.faults.append(f"{twice} candidates stand more than once in the manifest")
    return leaves, stated


def _check_chain(links: list[Link], leaves: dict[str, list[tuple[str, bytes]]], verdict: Verdict) -> None:
    previous = GENESIS
    for one in links:
        name = f"commit {one.version}"
        if one.previous != previous:
            verdict.faults.append(f"{name} does not follow the commit before it")
        if one.digest != link(one.previous, one.root):
            verdict.faults.append(f"{name} does not match its own digest")
        if root_of_leaves(leaves.pop(one.previous, []), one.shards) != one.root:
            verdict.faults.append(f"the rows of {name} are not those that were committed")
        previous = one.digest
    if leaves:
        verdict.faults.append(f"{sum(map(len, leaves.values()))} rows belong to no commit of the chain")


def _check_assets(store: Store, verdict: Verdict) -> None:
    seen: set[str] = set()
    twice = 0
    for batch in store.assets.batches(["ref_id"]):
        for ref in batch["ref_id"].to_pylist():
            twice += ref in seen
            seen.add(ref)
    if twice:
        verdict.faults.append(f"{twice} images stand more than once in `assets`")


def _left_of_compactions(store: Store, links: list[Link]) -> list[dict[str, Any]]:
    """Return the shards that compactions have replaced and that were not vacuumed yet."""
    replaced = replaced_shards(links)
    there = {found.name for found in store.files.list(f"{FOLDER}/")} if replaced else set()
    described = {shard["name"]: shard for one in links for shard in one.shards}
    return [described[name] for name in sorted(replaced) if f"{FOLDER}/{name}" in there]


def _check_shard(store: Store, shard: Mapping[str, Any], images: Images | None) -> tuple[int, list[str]]:
    name = shard["name"]
    try:
        size = store.files.stat(f"{FOLDER}/{name}").size
    except FileNotFoundError:
        return 0, [f"shard {name} is missing"]
    stream = io.BufferedReader(RangeFile(store.files, f"{FOLDER}/{name}", size), _BUFFER)
    try:
        index = index_of_stream(stream, name=name, split=shard["split"])
    except (tarfile.TarError, OSError, EOFError) as error:
        return 0, [f"shard {name} has other bytes than were committed: {error}"]
    if (index["sha256"], size) != (shard["sha256"], shard["bytes"]):
        return 0, [f"shard {name} has other bytes than were committed"]
    faults = []
    try:
        if read_index(store.files, name) != index:
            faults.append(f"the index of shard {name} does not describe it")
    except (DamagedShardError, FileNotFoundError):
        faults.append(f"the index of shard {name} does not describe it")
    samples = {sample["key"]: sample["members"] for sample in index["samples"]}
    if images is None:
        return len(samples), faults
    for key in images.keys() ^ samples.keys():
        faults.append(f"candidate {key} is in only one of shard {name} and the manifest")
    for key, members in samples.items():
        found = {member["name"].split(".")[0]: member["sha256"] for member in members}
        for role, wanted in zip(ROLES, images.get(key, ()), strict=False):
            if found.get(role) != wanted:
                faults.append(f"the {role} image of {key} in shard {name} has another sha256 than the manifest")
    return len(samples), faults
