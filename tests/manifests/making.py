"""Making rows, samples and stores for tests."""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from manifests.arrow_schema import arrow_schema, to_table
from manifests.identities import asset_id, digest_of
from manifests.records import ROLES, Asset, Triplet
from manifests.shards import Sample, Shard, write_shard
from manifests.store import Store

_IDS = ("target_id", "content_id", "style_id")


def sample(name: str) -> Sample:
    """Return a sample whose images are recognisable bytes."""
    key = digest_of(name)
    return Sample(key, {role: f"{name}/{role}".encode() for role in ROLES}, f"a {name}", {"candidate_id": key})


def triplet_row(name: str, **values: Any) -> dict[str, Any]:
    """Return a row of `triplets` for the sample of this name, rejected unless said otherwise."""
    made = sample(name)
    row: dict[str, Any] = {
        field.name: None if field.nullable else [] if pa.types.is_list(field.type) else ""
        for field in arrow_schema(Triplet)
    }
    row |= {"candidate_id": made.key, "accepted": False, "layout": "shifted", "index": 0, "split": "train"}
    row |= {"stylize_seed": 1, "destylize_seed": 2, "subject": name}
    row |= {f"{role}_id": asset_id(made.images[role]) for role in ROLES}
    return row | values


def commit(store: Store, names: list[str], rejected: tuple[str, ...] = ()) -> list[Shard]:
    """Commit accepted samples of these names as one shard, and rejected candidates beside them."""
    shard = write_shard(store.files, [sample(name) for name in names], split="train")
    rows = [
        triplet_row(name, accepted=True, shard=shard.name, offset=shard.offsets[sample(name).key]) for name in names
    ]
    rows += [triplet_row(name, reasons=["style_leak>0.5"]) for name in rejected]
    store.commit(pa.Table.from_pylist(rows, arrow_schema(Triplet)), to_table(Asset, []), [shard])
    store.write_index()
    return [shard]
