"""Tombstones: what is kept of every row that goes, so that the roots of the commits can still be computed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pyarrow as pa

from manifests.chain import record_leaf, row_leaf
from manifests.records import Erasure
from manifests.store import Store
from manifests.takedown.marks import mark_of
from manifests.takedown.reach import Reach, gone_of


def tombstones_of(store: Store, reach: Reach, *, takedown: str, salt: str, began: datetime) -> list[Erasure]:
    """Return a tombstone for each row that goes; no table has changed yet."""
    made = []
    looks = {row["ref_id"]: row["perceptual_hash"] for row in reach.images}
    rows = [(name, row) for name in ("assets", "judgements", "triplets") for row in _going(store, reach, name)]
    places = _places(store, [row for name, row in rows if name == "triplets"])
    for name, row in rows:
        image = name == "assets"
        made.append(
            Erasure(
                takedown=takedown,
                table=name,
                commit=row["follows"],
                place=places.get(row.get("candidate_id", "")) if name == "triplets" else None,
                leaf=(row_leaf if name == "triplets" else record_leaf)(row).hex(),
                salt=salt,
                asset_mark=mark_of(salt, row["asset_id"]) if image else None,
                look_mark=mark_of(salt, looks.get(row["ref_id"])) if image else None,
                erased=began,
            )
        )
    return made


def _going(store: Store, reach: Reach, name: str) -> Iterator[dict[str, Any]]:
    table = store.tables[name]
    if not table.exists:
        return
    for batch in table.batches(table.schema.names):
        rows = pa.Table.from_batches([batch]).cast(table.schema)
        yield from rows.filter(gone_of(reach, name)(rows)).to_pylist()


def _places(store: Store, going: list[dict[str, Any]]) -> dict[str, int]:
    """Return for each candidate that goes its place among all of its commit, those that went before included."""
    commits = {row["follows"] for row in going}
    ids: dict[str, list[str]] = defaultdict(list)
    for batch in store.triplets.batches(["candidate_id", "follows"]):
        for row in batch.to_pylist():
            if row["follows"] in commits:
                ids[row["follows"]].append(row["candidate_id"])
    before: dict[str, set[int]] = defaultdict(set)
    if store.erasures.exists:
        for batch in store.erasures.batches(["table", "commit", "place"]):
            for row in batch.to_pylist():
                if row["table"] == "triplets" and row["commit"] in commits:
                    before[row["commit"]].add(row["place"])
    wanted = {row["candidate_id"] for row in going}
    places = dict[str, int]()
    for commit, present in ids.items():
        ordered = sorted(present)
        for place in sorted(before[commit]):
            ordered.insert(place, "")
        places |= {one: place for place, one in enumerate(ordered) if one in wanted}
    return places
