"""Stores named in a recipe, resolved into a catalog: versions pinned, filters applied, shapes sorted into buckets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.images import Split
from manifests.snapshot import Snapshot
from uso.images import SIDE_STEP, aspect_buckets, content_sizes, nearest_bucket
from uso.training.catalog import Bucket, Catalog, CatalogSource, Slots, prompt_columns

LONGEST_ASPECT = 2.0


class NoSamplesError(ValueError):
    """No sample of a store matches."""


@dataclass(frozen=True)
class StoreSource:
    """One store of a mixture.

    `where` is SQL over the columns of `triplets`, such as `layout = 'shifted' and style_similarity > 0.6`. `weight` is
    the source's share of each epoch beside the others' weights; without weights every sample is used once an epoch.
    `version` pins the manifest; None takes the newest there is, and the run records which one that was.
    """

    root: str
    where: str | None = None
    weight: float | None = None
    version: int | None = None


@dataclass(frozen=True)
class Shapes:
    """How images are cut: targets of about `side` x `side` pixels, content references to a long side."""

    side: int
    content_long_side: int
    longest_aspect: float = LONGEST_ASPECT

    def __post_init__(self) -> None:
        if self.side % SIDE_STEP or self.content_long_side % SIDE_STEP:
            raise ValueError(f"side and content_long_side must be multiples of {SIDE_STEP} pixels")


def resolve(
    stores: Sequence[StoreSource],
    shapes: Shapes,
    *,
    split: Split | None = "train",
    slots: Slots | None = None,
    prompt: str | None = None,
) -> Catalog:
    """Return the catalog of all accepted samples that match.

    Raises ValueError when a store cannot be opened, a filter is at fault or matches nothing, or only some of the
    stores have a weight.
    """
    if not stores:
        raise ValueError("data.stores: name at least one store, or give --data")
    weighted = [store.weight for store in stores if store.weight is not None]
    if weighted and len(weighted) < len(stores):
        raise ValueError("data.stores: give every store a weight, or none")
    used = slots or Slots()
    snapshots = [Snapshot(store.root, store.version) for store in stores]
    tables = [_rows(snapshot, store, split, used, prompt) for snapshot, store in zip(snapshots, stores, strict=True)]
    total = sum(table.num_rows for table in tables)
    buckets: dict[Bucket, int] = {}
    sources = []
    for snapshot, store, table in zip(snapshots, stores, tables, strict=True):
        share = table.num_rows
        if store.weight is not None:
            share = max(1, round(total * store.weight / sum(weighted)))
        sources.append(
            CatalogSource(
                snapshot=snapshot,
                where=store.where,
                weight=store.weight,
                rows=table.select(_kept(used, prompt)),
                buckets=_bucketed(table, used, shapes, buckets),
                share=share,
            )
        )
    return Catalog(sources, list(buckets), used, prompt)


def _kept(slots: Slots, prompt: str | None) -> list[str]:
    return list(
        dict.fromkeys(["candidate_id", "shard", *(f"{role}_id" for role in slots.roles), *prompt_columns(prompt)])
    )


def _rows(snapshot: Snapshot, store: StoreSource, split: Split | None, slots: Slots, prompt: str | None) -> pa.Table:
    sized = [role for role in (slots.target, slots.content) if role is not None]
    sizes = [f"{role}_{side}" for role in sized for side in ("width", "height")]
    table = snapshot.samples(store.where, split, [*_kept(slots, prompt), *sizes])
    if table.num_rows == 0:
        which = " that " + " and ".join(filter(None, [f"are {split}" if split else "", store.where or ""]))
        raise NoSamplesError(f"{snapshot.root}: has no accepted samples{which if split or store.where else ''}")
    return table.combine_chunks()


def _bucketed(table: pa.Table, slots: Slots, shapes: Shapes, known: dict[Bucket, int]) -> NDArray[np.int32]:
    """Return each row's bucket number; buckets that are new are added to `known`."""
    targets = aspect_buckets(shapes.side, shapes.longest_aspect)
    names = [f"{slots.target}_width", f"{slots.target}_height"]
    if slots.content is not None:
        names += [f"{slots.content}_width", f"{slots.content}_height"]
    sides = np.stack([pc.cast(table[name].combine_chunks(), pa.int64()).to_numpy() for name in dict.fromkeys(names)], 1)
    unique, inverse = np.unique(sides, axis=0, return_inverse=True)
    numbers = []
    for row in unique:
        side = dict(zip(dict.fromkeys(names), row.tolist(), strict=True))
        target = nearest_bucket((side[names[0]], side[names[1]]), targets)
        content = None
        if slots.content is not None:
            content = content_sizes(side[names[2]], side[names[3]], shapes.content_long_side)[1]
        numbers.append(known.setdefault(Bucket(target, content), len(known)))
    found: NDArray[np.int32] = np.asarray(numbers, np.int32)[inverse.reshape(-1)]
    return found
