"""Small stores with everything in them: pictures, records, judgements, jobs, thumbnails, a report, caches."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from PIL import Image

from manifests.arrow_schema import arrow_schema, to_table
from manifests.identities import asset_id, digest_of
from manifests.records import ROLES, SCORES, Asset, Job, Judgement, Triplet
from manifests.sample_record import RECORDED
from manifests.shards import Sample, write_shard
from manifests.store import Store
from tests.manifests.audit.histories import candidate, drawn, image

PER_COMMIT = 6
STYLES = 4


def picture(role: str, number: int) -> bytes:
    """Return an image of its own, as lossless WebP."""
    seed = int(digest_of([role, number])[:8], 16)
    buffer = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (12, 12, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(buffer, "WEBP", lossless=True)
    return buffer.getvalue()


def asset(role: str, number: int, **values: Any) -> Asset:
    """Return the row of an image whose bytes are `picture`'s."""
    data = picture(role, number)
    return image(role, number, asset_id=asset_id(data), bytes=len(data), width=12, height=12, **values)


def content_of(number: int) -> Asset:
    """Return the content reference of a candidate: every third is drawn by an expert from the target."""
    if number % 3:
        return asset("content", number)
    made = drawn("content", number, [asset("target", number)])
    data = picture("content", number)
    return made.model_copy(update={"asset_id": asset_id(data), "bytes": len(data)})


def images_of(number: int) -> dict[str, Asset]:
    """Return the images of a candidate by role; styles are shared by several."""
    return {"target": asset("target", number), "content": content_of(number), "style": asset("style", number % STYLES)}


def row_of(number: int) -> dict[str, Any]:
    """Return a candidate; every third is rejected."""
    row = candidate(f"n{number}", images_of(number), style_similarity=0.25 + number / 1000, prompt=f"picture {number}")
    row |= {"licences": ["MIT"], "judge_digest": "j" * 32, "judge_style_match": 3}
    return row if number % 3 == 2 else {**row, "accepted": True, "reasons": [], "style_leak": 0.2}


def record_of(row: Mapping[str, Any], images: Mapping[str, Asset]) -> dict[str, Any]:
    """Return the record beside a sample's images, as a job writes it."""
    judge = ("judge_digest", "judge_style_match", "judge_style_only", "judge_subject_match", "judge_realism")
    return {
        **{name: row[name] for name in RECORDED},
        "scores": {name: row[name] for name in SCORES if row[name] is not None},
        "judge": {name: row[name] for name in (*judge, "judge_layout")},
        "prompt": row["prompt"],
        "transform": None,
        "images": {role: {"locator": one.locator} for role, one in images.items()},
    }


def judgement_of(row: Mapping[str, Any]) -> Judgement:
    """Return what a judge said of a candidate."""
    values: dict[str, Any] = dict.fromkeys(Judgement.model_fields)
    ids = {f"{role}_id": row[f"{role}_id"] for role in ROLES}
    return Judgement(
        **values
        | ids
        | {"candidate_id": row["candidate_id"], "judge_digest": "j" * 32, "judge": "small", "prompt_version": "1"}
        | {"prompt_digest": "p" * 32, "answers": ["a fine picture"], "style_match": 3, "requests": 1, "tokens_in": 9}
        | {"tokens_out": 9, "seconds": 0.5, "judged": datetime(2026, 1, 1, tzinfo=UTC)}
    )


def job(name: str) -> Job:
    """Return the row of a run."""
    times = {"started": datetime(2026, 1, 1, tzinfo=UTC), "finished": datetime(2026, 1, 2, tzinfo=UTC)}
    texts = dict.fromkeys(("spec_digest", "generation_digest"), "d" * 32)
    return Job(job_id=name, spec="name: whole\n", status="finished", versions="{}", counts="{}", **texts, **times)


def commit(store: Store, number: int) -> None:
    """Commit so many candidates as one job does, and leave what a job leaves beside."""
    numbers = range(number * PER_COMMIT, (number + 1) * PER_COMMIT)
    rows = [row_of(one) for one in numbers]
    images = {row["candidate_id"]: images_of(one) for row, one in zip(rows, numbers, strict=True)}
    kept = [row for row in rows if row["accepted"]]
    data = {
        row["candidate_id"]: {role: picture(role, one % STYLES if role == "style" else one) for role in ROLES}
        for row, one in zip(rows, numbers, strict=True)
    }
    samples = [
        Sample(key, data[key], row["prompt"], record_of(row, images[key]))
        for row in kept
        for key in [row["candidate_id"]]
    ]
    shard = write_shard(store.files, samples, split="train")
    for row in kept:
        row |= {"shard": shard.name, "offset": shard.offsets[row["candidate_id"]]}
    for row in rows:
        if not row["accepted"]:
            store.files.put(store.strip(row["candidate_id"]), b"".join(data[row["candidate_id"]].values()))
    everything = {one.ref_id: one for those in images.values() for one in those.values()}
    judgements = [judgement_of(row) for row in rows]
    store.answers.keep(["asked", number], judgements[0])
    store.files.put(f"cache/bought/{number:02}.bin", data[rows[0]["candidate_id"]]["content"])
    store.commit(
        pa.Table.from_pylist(rows, arrow_schema(Triplet)),
        to_table(Asset, everything.values()),
        [shard],
        judgements=to_table(Judgement, judgements),
        job=f"job{number}",
    )
    store.jobs.append(to_table(Job, [job(f"job{number}")]))
    store.files.put("report/index.html", f"<img alt='{json.dumps([row['target_id'] for row in rows])}'>".encode())
    store.write_index()


def whole_store(folder: Path, commits: int = 3) -> Store:
    """Write a store of some commits."""
    store = Store(folder)
    for number in range(commits):
        commit(store, number)
    return store
