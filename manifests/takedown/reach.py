"""How far a takedown reaches: from the images that are named to all that was made of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from manifests.images import GENERATED
from manifests.records import ROLES
from manifests.store import Store
from manifests.takedown.wanted import TakedownError, Wanted

_IMAGE = (
    "ref_id", "asset_id", "source", "locator", "licence", "author", "attribution_url", "perceptual_hash", "transform",
    "subject", "style",
)  # fmt: skip
_CANDIDATE = (
    "candidate_id",
    "accepted",
    "duplicate_of",
    *(f"{role}_{part}" for role in ROLES for part in ("id", "ref")),
)
_JUDGED = ("candidate_id", *(f"{role}_id" for role in ROLES))


_WHOLE = 64


@dataclass
class Reach:
    """What goes: rows of `assets`, bytes by their ids, and candidates."""

    refs: set[str] = field(default_factory=set)
    asset_ids: set[str] = field(default_factory=set)
    candidates: set[str] = field(default_factory=set)
    accepted: int = 0
    judgements: int = 0
    named: int = 0
    """Images that the request itself names; the others were made of them."""
    images: list[dict[str, Any]] = field(default_factory=list)
    """Rows of `assets` that go, with what tells a person which image it is."""

    @property
    def empty(self) -> bool:
        """Tell whether nothing goes."""
        return not (self.images or self.candidates or self.judgements)

    def image_gone(self, rows: pa.Table) -> pa.Array:
        """Tell which rows of `assets` go."""
        return _is_in(rows["ref_id"], self.refs)

    def candidate_gone(self, rows: pa.Table) -> pa.Array:
        """Tell which rows of `triplets` go."""
        gone = pc.or_(_is_in(rows["candidate_id"], self.candidates), _is_in(rows["duplicate_of"], self.asset_ids))
        for role in ROLES:
            gone = pc.or_(gone, _is_in(rows[f"{role}_id"], self.asset_ids))
            gone = pc.or_(gone, _is_in(rows[f"{role}_ref"], self.refs))
        return gone

    def judgement_gone(self, rows: pa.Table) -> pa.Array:
        """Tell which rows of `judgements` go."""
        gone = _is_in(rows["candidate_id"], self.candidates)
        for role in ROLES:
            gone = pc.or_(gone, _is_in(rows[f"{role}_id"], self.asset_ids))
        return gone


COLUMNS: dict[str, tuple[str, ...]] = {"assets": ("ref_id",), "triplets": _CANDIDATE, "judgements": _JUDGED}
"""Columns of each table from which it is told which of its rows go."""


def gone_of(reach: Reach, table: str) -> Callable[[pa.Table], pa.Array]:
    """Return the function that tells which rows of a table go."""
    return {"assets": reach.image_gone, "triplets": reach.candidate_gone, "judgements": reach.judgement_gone}[table]


def reach_of(store: Store, wanted: Wanted) -> Reach:
    """Return all that goes with the images that are named.

    These are images of the same bytes, images out of the same files under any treatment and move, what experts drew
    from any of them, and every candidate of which one is a part. Raises TakedownError where a
    shortened id means several.
    """
    reach, places, rounds = Reach(asset_ids={one for one in wanted.assets if len(one) == _WHOLE}), set[str](), 0
    before = (-1, -1)
    while before != (len(reach.refs), len(places)):
        before = len(reach.refs), len(places)
        for batch in store.assets.batches(_IMAGE):
            rows = pa.Table.from_batches([batch]).cast(_schema(store))
            _grow(rows, wanted, reach, places, first=rounds == 0)
        rounds += 1
    _check_prefixes(wanted, reach)
    for batch in store.triplets.batches(_CANDIDATE):
        rows = pa.Table.from_batches([batch])
        gone = rows.filter(reach.candidate_gone(rows))
        reach.candidates |= set(gone["candidate_id"].to_pylist())
        reach.accepted += pc.sum(gone["accepted"]).as_py() or 0
    for batch in store.judgements.batches(_JUDGED):
        reach.judgements += pc.sum(reach.judgement_gone(pa.Table.from_batches([batch]))).as_py() or 0
    return reach


def _grow(rows: pa.Table, wanted: Wanted, reach: Reach, places: set[str], *, first: bool) -> None:
    place = pc.binary_join_element_wise(rows["source"], rows["locator"], ":")
    gone = pc.or_(_is_in(rows["asset_id"], reach.asset_ids), _is_in(place, places))
    gone = pc.or_(gone, pa.chunked_array([_drawn_from(rows, places)]))
    if first:
        named = pa.chunked_array([wanted.named(rows)])
        reach.named += pc.sum(named).as_py() or 0
        gone = pc.or_(gone, named)
    for row in rows.filter(gone).to_pylist():
        if row["ref_id"] not in reach.refs:
            reach.refs.add(row["ref_id"])
            reach.images.append({name: row[name] for name in _IMAGE if name != "transform"})
        places.add(f"{row['source']}:{row['locator']}")
        if row["asset_id"]:
            reach.asset_ids.add(row["asset_id"])


def _drawn_from(rows: pa.Table, places: Collection[str]) -> pa.Array:
    drawn = np.zeros(rows.num_rows, bool)
    for at in np.flatnonzero(np.asarray(pc.equal(rows["source"], GENERATED).to_numpy(zero_copy_only=False))):
        inputs = json.loads(rows["transform"][int(at)].as_py() or "{}").get("inputs", [])
        drawn[at] = any(text.rpartition(" ")[0] in places for text in inputs)
    return pa.array(drawn)


def _check_prefixes(wanted: Wanted, reach: Reach) -> None:
    for one in wanted.assets:
        if len(one) < _WHOLE and len(found := [full for full in reach.asset_ids if full.startswith(one)]) > 1:
            raise TakedownError(f"asset {one!r} is the beginning of {len(found)} ids; give more digits")


def _schema(store: Store) -> pa.Schema:
    return pa.schema([store.assets.schema.field(name) for name in _IMAGE])


def _is_in(column: pa.ChunkedArray, values: Collection[str]) -> pa.ChunkedArray:
    found = pc.is_in(column.cast(pa.string()), value_set=pa.array(sorted(values), pa.string()))
    return pc.and_(found, pc.is_valid(column))
