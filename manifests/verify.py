"""Verification of a store: every byte of every shard and table against the manifest, and every chain against itself."""

from __future__ import annotations

import random
import threading
from collections import defaultdict
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from manifests.chain import Link, live_shards
from manifests.files.presence import is_there
from manifests.identities import digest_of
from manifests.moves import homes, replaced_shards, within
from manifests.shard_index import ShardIndexes
from manifests.shards import FOLDER
from manifests.store import Store
from manifests.takedown.journal import JOURNAL
from manifests.verification.findings import Finding, Kind
from manifests.verification.listings import check_listings, check_moves
from manifests.verification.logs import Replayed, replay
from manifests.verification.resuming import Progress
from manifests.verification.rows import Stated, TableRows, check_roots, read_rows, uncovered
from manifests.verification.shard_check import ShardChecked, check_replaced, check_shard
from manifests.verification.signed import check_signature

WORKERS = 8
"""Shards, and data files of tables, that are read at once."""


@dataclass
class Verdict:
    """What was checked, and every fault that was found."""

    shards: int = 0
    checked: int = 0
    """Shards that were read; fewer than `shards` where a sample was asked for."""
    samples: int = 0
    candidates: int = 0
    heads: dict[str, str] = field(default_factory=dict)
    """Digest of the chain of each table: what a signature is over."""
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    """What is no fault, and yet not covered."""

    @property
    def faults(self) -> list[str]:
        """Return the findings in words."""
        return [finding.text for finding in self.findings]

    @property
    def sound(self) -> bool:
        """Tell whether no fault was found."""
        return not self.findings


def verify(
    store: Store,
    *,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    workers: int = WORKERS,
    sample: float = 1.0,
    seed: int = 0,
    state: Path | None = None,
    signature: tuple[Mapping[str, Any], Path] | None = None,
) -> Verdict:
    """Check a store from end to end.

    Of each table: the log has no gap, every data file has the bytes that were written, every commit has the rows that
    were committed, and the commits form one unbroken chain; checkpoints say what the log says. Of each shard: sha256,
    size, index and samples; every image has the sha256 that the manifest gives, every record says what its row says,
    and every accepted candidate lies in one shard. What was taken down is gone.

    `sample` reads only so large a share of the shards, drawn with `seed`; tables are always read whole. `state` names
    a file that keeps what was done, so that a verification that was interrupted goes on; it is deleted at the end.
    `signature` is one with the public key that it is to be of: the history must be the one that was signed.
    Raises SignatureError on what is no signature, or no key.
    """
    verdict = Verdict()
    states = {name: replay(table) for name, table in store.tables.items()}
    rows = {name: read_rows(store, name, states[name], workers=workers) for name in states}
    for name in states:
        verdict.findings += states[name].findings + rows[name].findings
        verdict.findings += check_roots(name, states[name], rows[name], rows["erasures"])
        if states[name].links:
            verdict.heads[name] = states[name].links[-1].digest
        if name != "triplets" and (before := uncovered(states[name])):
            verdict.notes.append(f"{before} rows of `{name}` were written by an earlier release: no chain covers them")
    verdict.candidates = rows["triplets"].count
    links = states["triplets"].links
    if signature is not None:
        verdict.findings += check_signature(*signature, states)
    verdict.findings += _tombstones(links, states["erasures"])
    if is_there(store.files, JOURNAL):
        text = "a takedown was interrupted; `triptych audit takedown --store ...` finishes it"
        verdict.findings.append(Finding(Kind.TAKEDOWN_UNFINISHED, JOURNAL, text))
    verdict.findings += check_moves(store, links)
    _check_shards(store, links, rows["triplets"], verdict, Progress(state), progress, workers, (sample, seed))
    return verdict


def _tombstones(links: list[Link], erasures: Replayed) -> list[Finding]:
    """Return the takedowns whose tombstones are not those that their commit names."""
    heads = {one.digest for one in erasures.links}
    return [
        Finding(
            Kind.TOMBSTONE_MISSING,
            f"triplets, commit {one.version}",
            f"the tombstones of the takedown in commit {one.version} are gone: `erasures` is not what it was",
        )
        for one in links
        if one.erased is not None and one.erased["erasures"] not in heads
    ]


def _check_shards(
    store: Store,
    links: list[Link],
    rows: TableRows,
    verdict: Verdict,
    done: Progress,
    progress: Callable[[int, int], None],
    workers: int,
    drawn: tuple[float, int],
) -> None:
    into, live = homes(links), live_shards(links)
    by_home: dict[str, dict[str, Stated]] = defaultdict(dict)
    for name, stated in rows.accepted.items():
        by_home[into.get(name, name)].update(stated)
    for name in sorted(by_home.keys() - {shard["name"] for shard in live}):
        text = f"{len(by_home[name])} accepted candidates lie in {name}, which no commit names"
        verdict.findings.append(Finding(Kind.SAMPLE_MISSING, "triplets", text))
    verdict.findings += check_listings(store, links)
    chosen = _drawn(live, *drawn)
    described = {shard["name"]: shard for one in links for shard in one.shards}
    replaced = [described[name] for name in sorted(replaced_shards(links)) if name in described]
    checks: list[tuple[Mapping[str, Any], Mapping[str, Stated] | None]]
    checks = [(shard, by_home.get(shard["name"], {})) for shard in chosen]
    checks += [
        (shard, None) for shard in _drawn(replaced, *drawn) if is_there(store.files, f"{FOLDER}/{shard['name']}")
    ]
    lock, count = threading.Lock(), 0

    def check(shard: Mapping[str, Any], stated: Mapping[str, Stated] | None) -> ShardChecked:
        nonlocal count
        mark = _mark(store, shard, stated)
        result = done.get(mark)
        if result is None:
            result = check_shard(store.files, shard, stated)
            done.keep(mark, result)
        with lock:
            count += 1
            progress(count, len(checks))
        return result

    with ThreadPoolExecutor(workers) as pool:
        results = list(pool.map(check, *zip(*checks, strict=True))) if checks else []
    done.end()
    verdict.shards, verdict.checked = len(live), len(chosen)
    verdict.samples = sum(result.samples for result in results[: len(chosen)])
    verdict.findings += [finding for result in results for finding in result.findings]
    named, parts, indexes = rows.accepted.keys(), within(links), ShardIndexes(store.files)
    for shard in replaced:
        if shard["name"] in named:
            verdict.findings += check_replaced(indexes, store.files, shard, parts[shard["name"]])


def _mark(store: Store, shard: Mapping[str, Any], stated: Mapping[str, Stated] | None) -> str:
    """Return what stands for a shard as it lies there, and all that it is held against."""
    known = [(key, one.images, one.mark) for key, one in sorted((stated or {}).items())]
    name = f"{FOLDER}/{shard['name']}"
    etags = [store.files.stat(one).etag for one in (name, f"{name}.index.json") if is_there(store.files, one)]
    return digest_of([dict(shard), known, etags])


def _drawn(shards: list[dict[str, Any]], share: float, seed: int) -> list[dict[str, Any]]:
    if share >= 1 or not shards:
        return shards
    places = random.Random(seed).sample(range(len(shards)), max(1, round(share * len(shards))))
    return [shards[place] for place in sorted(places)]
