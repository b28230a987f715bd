"""Pack: the rows of one shard become files, and the rows that the manifest will hold."""

from __future__ import annotations

import io
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa
import pyarrow.ipc

from curation.gallery import Gallery
from curation.graph.encoding import EXTENSIONS, decode_stored
from curation.graph.rejected_strips import keep_strips
from curation.graph.rows import Row, origin_of, short_reason
from curation.ingest.taken_down import reject_taken_down
from manifests.arrow_schema import arrow_schema, to_table
from manifests.images import GENERATED, ImageRef, Split
from manifests.licences import split_licences
from manifests.records import JUDGED, ROLES, SCORES, Asset, Judgement, Role, Triplet
from manifests.sample_record import RECORDED
from manifests.shards import Sample, Shard, write_shard
from manifests.store import Store
from manifests.takedown.marks import TakenDown

PACKED: pa.Schema = pa.schema(
    [(name, pa.large_binary()) for name in ("triplets", "assets", "judgements")]
    + [("shards", pa.string()), ("counts", pa.string())]
)
"""Schema of what packing returns: one row for each batch, ready for one commit."""


class Packer:
    """Writes the shards of one batch of rows, and describes them for the driver to commit.

    Idempotent: the same rows give the same files under the same names, whenever and wherever it runs. Held-out
    subjects go to shards of their own. Rejected candidates keep their row and lose their images.
    """

    def __init__(self, gallery: Gallery, *, store: Store, kind: str) -> None:
        self._gallery = gallery
        self._store = store
        self._extension = EXTENSIONS[kind]
        self._taken = TakenDown(store)

    def __call__(self, batch: pa.Table) -> pa.Table:
        """Return one row of `PACKED` for a batch of rows of the graph."""
        rows = batch.to_pylist()
        reject_taken_down(rows, self._taken)
        splits: tuple[Split, ...] = ("train", "heldout")
        written: list[Shard] = []
        for split in splits:
            accepted = [row for row in rows if row["accepted"] and row["split"] == split]
            if accepted:
                shard = write_shard(self._store.files, [self._sample(row) for row in accepted], split=split)
                written.append(shard)
                for row in accepted:
                    row["shard"], row["offset"] = shard.name, shard.offsets[row["candidate_id"]]
        keep_strips(self._store, rows)
        assets = self._assets(rows)
        return pa.Table.from_pylist(
            [
                {
                    "triplets": _to_ipc(_triplets(rows)),
                    "assets": _to_ipc(to_table(Asset, assets)),
                    "judgements": _to_ipc(to_table(Judgement, _judgements(rows))),
                    "shards": json.dumps([asdict(shard) for shard in written]),
                    "counts": json.dumps(funnel_counts(rows)),
                }
            ],
            schema=PACKED,
        )

    def _sample(self, row: Row) -> Sample:
        record: dict[str, Any] = {key: row[key] for key in RECORDED}
        record["scores"] = {column: row[column] for column in SCORES if row[column] is not None}
        if row["judge_digest"]:
            record["judge"] = {column: row[column] for column in ("judge_digest", *JUDGED, "judge_layout")}
        record["prompt"] = row["prompt"]
        record["transform"] = json.loads(row["transform"]) if row["transform"] else None
        record["images"] = {role: _provenance(origin_of(row, role), _transform(row, role)) for role in ROLES}
        images: dict[str, bytes] = {role: row[f"{role}_image"] for role in ROLES}
        return Sample(row["candidate_id"], images, row["prompt"], record, self._extension)

    def _assets(self, rows: Sequence[Row]) -> list[Asset]:
        assets: dict[str, Asset] = {}
        for row in rows:
            licences = []
            for role in ROLES:
                if not row[f"{role}_origin"]:
                    continue
                ref = origin_of(row, role)
                licences += split_licences(ref.licence) or ["unknown"]
                transform = _transform(row, role)
                ref_id = row["target_ref"] if role == "target" else self._gallery.ref_id(ref, transform)
                row[f"{role}_ref"] = ref_id
                data = row[f"{role}_image"]
                if data is not None and role != "target" and ref_id not in assets:
                    assets[ref_id] = describe_asset(
                        ref, ref_id, role=role, data=data, asset=row[f"{role}_id"], transform=transform
                    )
            row["licences"] = sorted(set(licences))
        return list(assets.values())


def describe_asset(
    ref: ImageRef, ref_id: str, *, role: str, data: bytes | None, asset: str | None, **more: str | None
) -> Asset:
    """Return the manifest's row on an image; `more` may give transform, perceptual_hash, refused and detail."""
    height, width = decode_stored(data).shape[:2] if data is not None else (None, None)
    known = {"transform": None, "perceptual_hash": None, "refused": None, "detail": None, **more}
    return Asset.model_validate(
        {
            "ref_id": ref_id,
            "asset_id": asset,
            "role": role,
            "style": ref.style,
            "split": ref.split,
            "width": width,
            "height": height,
            "bytes": len(data) if data is not None else None,
            **ref.model_dump(exclude={"caption"}),
            **known,
        }
    )


def funnel_counts(rows: Sequence[Row]) -> dict[str, Any]:
    """Return how many rows were made, failed, were rejected for which rule, and accepted."""
    reasons = Counter(short for row in rows for short in {short_reason(reason) for reason in row["reasons"]})
    return {
        "candidates": len(rows),
        "accepted": sum(bool(row["accepted"]) for row in rows),
        "reasons": dict(sorted(reasons.items())),
    }


def _judgements(rows: Sequence[Row]) -> list[Judgement]:
    return [Judgement.model_validate_json(row["judgement"]) for row in rows if row["judgement"]]


def _triplets(rows: Sequence[Row]) -> pa.Table:
    schema = arrow_schema(Triplet)
    defaults: Row = {"shard": None, "offset": None, "follows": ""}
    return pa.Table.from_pylist([{name: {**defaults, **row}[name] for name in schema.names} for row in rows], schema)


def _transform(row: Row, role: Role) -> str | None:
    """Return what was done to an image, or how it was drawn, as JSON."""
    columns = {"target": None, "content": "transform", "style": "style_transform"}
    column = columns[role]
    return row[column] if column is not None else None


def _provenance(ref: ImageRef, transform: str | None) -> dict[str, Any]:
    """Return what a shard's record says of an image: where it is from, and, of one that was drawn, by whom and how."""
    keep = {"source", "locator", "subject", "family", "treatment", "licence", "author", "attribution_url", "package"}
    drawn = {GENERATED: json.loads(transform)} if ref.source == GENERATED and transform else {}
    return ref.model_dump(include=keep) | drawn


def _to_ipc(table: pa.Table) -> bytes:
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


def from_ipc(data: bytes) -> pa.Table:
    """Return a table that packing serialised."""
    with pa.ipc.open_stream(data) as reader:
        return reader.read_all()
