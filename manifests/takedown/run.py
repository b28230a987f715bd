"""A takedown from request to receipt; interrupted anywhere, the next call finishes it."""

from __future__ import annotations

import json
import secrets
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from manifests.arrow_schema import to_table
from manifests.audit.training_runs import Times, TrainingRun
from manifests.chain import live_shards
from manifests.records import Erasure
from manifests.shard_joining import read_index
from manifests.store import Store
from manifests.takedown.erase import erase
from manifests.takedown.journal import FOLDER, JOURNAL, Journal, begin, unfinished
from manifests.takedown.reach import Reach, reach_of
from manifests.takedown.receipt import OUTSIDE, Receipt
from manifests.takedown.sweep import sweep
from manifests.takedown.tombstones import tombstones_of
from manifests.takedown.wanted import Wanted

_ROUNDS = 5


@dataclass
class Preview:
    """What a takedown would do."""

    named: int
    images: list[dict[str, Any]]
    candidates: list[str]
    accepted: int
    shards: list[str] = field(default_factory=list)
    bytes: int = 0
    """Of the shards that would be written anew."""
    versions: list[int] = field(default_factory=list)
    """Versions of `triplets` that added something of what would go; all since hold it."""
    training: list[dict[str, Any]] = field(default_factory=list)


def preview(store: Store, wanted: Wanted, *, runs: Sequence[TrainingRun] = (), times: Times | None = None) -> Preview:
    """Return what a takedown would do; nothing is changed. Raises TakedownError."""
    reach = reach_of(store, wanted)
    shards = _holding(store, reach)
    rows = store.triplets.read(["candidate_id", "follows"]).to_pylist()
    commits = {row["follows"] for row in rows if row["candidate_id"] in reach.candidates}
    return Preview(
        reach.named,
        reach.images,
        sorted(reach.candidates),
        reach.accepted,
        [shard["name"] for shard in shards],
        sum(shard["bytes"] for shard in shards),
        [one.version for one in store.links() if one.previous in commits],
        _seen(reach, runs, times),
    )


def finish(store: Store) -> Receipt | None:
    """Finish a takedown that was interrupted, and return its receipt; None where there is none."""
    journal = unfinished(store)
    return _execute(store, journal) if journal is not None else None


def take_down(
    store: Store, wanted: Wanted, *, runs: Sequence[TrainingRun] = (), times: Times | None = None
) -> list[Receipt]:
    """Take images down with all that was made of them, and return the receipts.

    A takedown that was interrupted is finished first. There is none where nothing is named, and a second one where a
    job committed more of the same meanwhile. Raises TakedownError.
    """
    receipts = [done] if (done := finish(store)) is not None else []
    for _ in range(_ROUNDS):
        reach = reach_of(store, wanted)
        if reach.empty:
            break
        journal = begin(store, planned(store, wanted, reach, runs, times))
        receipts.append(_execute(store, journal))
        wanted = Wanted(assets=journal.asset_ids, refs=[*wanted.refs, *journal.refs])
    return receipts


def planned(
    store: Store, wanted: Wanted, reach: Reach, runs: Sequence[TrainingRun] = (), times: Times | None = None
) -> Journal:
    """Return the journal of a takedown that has not begun."""
    began, takedown, salt = datetime.now(UTC), secrets.token_hex(6), secrets.token_hex(16)
    erasures = tombstones_of(store, reach, takedown=takedown, salt=salt, began=began)
    told = {
        "takedown": takedown,
        "began": began.isoformat(timespec="seconds"),
        "by": wanted.by,
        "images": len(reach.refs),
        "candidates": len(reach.candidates),
        "accepted": reach.accepted,
        "judgements": reach.judgements,
        "salt": salt,
        "asset_marks": sorted({one.asset_mark for one in erasures if one.asset_mark}),
        "shards_before": [shard["name"] for shard in _holding(store, reach)],
        "training": _seen(reach, runs, times),
    }
    rows = [one.model_dump(mode="json") for one in erasures]
    return Journal(takedown, sorted(reach.refs), sorted(reach.asset_ids), sorted(reach.candidates), rows, told)


def _execute(store: Store, journal: Journal) -> Receipt:
    """Do what a journal says, or what is left of it; every step may be done again."""
    reach = journal.reach
    store.erasures.append_once(to_table(Erasure, journal.erasures))
    erase(store, reach)
    sweep(store, reach)
    tables = {name: table for name, table in store.tables.items() if table.exists}
    receipt = Receipt(
        **journal.told,
        finished=datetime.now(UTC).isoformat(timespec="seconds"),
        shards_after=_made_of(store, journal.told["shards_before"]),
        versions={name: tables[name].catch_up() for name in ("triplets", "assets", "judgements") if name in tables},
        heads={"triplets": store.head(), "erasures": store.erasures.head()},
        outside=OUTSIDE,
    )
    store.files.put(f"{FOLDER}/{journal.takedown}.txt", receipt.words().encode())
    store.files.put(f"{FOLDER}/{journal.takedown}.json", json.dumps(asdict(receipt), indent=1).encode())
    store.files.delete(JOURNAL)
    return receipt


def _holding(store: Store, reach: Reach) -> list[dict[str, Any]]:
    """Return the shards of the data set that hold candidates that go."""
    return [
        shard
        for shard in live_shards(store.links())
        if any(sample["key"] in reach.candidates for sample in read_index(store.files, shard["name"])["samples"])
    ]


def _made_of(store: Store, shards: Sequence[str]) -> list[str]:
    made = (shard for one in store.links() for shard in one.shards)
    return sorted({new["name"] for new in made if {part["shard"] for part in new.get("parts", ())} & set(shards)})


def _seen(reach: Reach, runs: Sequence[TrainingRun], times: Times | None) -> list[dict[str, Any]]:
    """Return the runs among whose samples candidates are, and the checkpoints that were trained on them."""
    told = []
    for run in runs:
        among = run.among(reach.candidates) if run.recorded else set()
        if not among:
            continue
        used: dict[str, int] = {}
        for uses in (times(run.folder, among) if times else {}).values():
            for checkpoint, count in uses:
                used[checkpoint.name] = used.get(checkpoint.name, 0) + count
        checkpoints = [{"checkpoint": name, "times": count} for name, count in sorted(used.items()) if count]
        told.append({"run": run.key, "candidates": len(among), "checkpoints": checkpoints})
    return told
