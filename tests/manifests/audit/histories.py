"""Stores with a history: a few images, candidates of them, commits, and the folders of runs that saw some."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st

from manifests.arrow_schema import arrow_schema, to_table
from manifests.identities import asset_id, digest_of
from manifests.records import ROLES, Asset, Triplet
from manifests.shards import Sample, write_shard
from manifests.store import Store
from tests.manifests.making import triplet_row


def image(role: str, number: int, **values: Any) -> Asset:
    """Return the row of an image; those with the same role and number are the same."""
    known: dict[str, Any] = {
        "ref_id": digest_of([role, number]),
        "asset_id": asset_id(f"{role}{number}".encode()),
        "role": role,
        "source": "folder",
        "locator": f"{role}-{number}.png",
        "fingerprint": "1",
        "subject": f"subject {number}",
        "family": "hand",
        "treatment": "none",
        "style": "hand",
        "split": "train",
        "licence": "MIT",
        "author": "A. Painter",
        "attribution_url": "https://example.org/painter",
        "package": f"pack-{number % 2}@1",
        "transform": None,
        "width": 8,
        "height": 8,
        "bytes": 10,
        "perceptual_hash": digest_of([role, number]) * 2 if role == "target" else None,
        "refused": None,
        "detail": None,
    }
    return Asset(**(known | values))


def drawn(role: str, number: int, inputs: Sequence[Asset]) -> Asset:
    """Return the row of an image that an expert drew from others."""
    seen = [f"{one.source}:{one.locator} {one.style}" for one in inputs]
    return image(
        role,
        number,
        source="generated",
        locator=f"{number}/{role}",
        package="; ".join(dict.fromkeys(one.package or "" for one in inputs)),
        transform=json.dumps({"kind": "generated", "title": "painter", "prompt": "a cat", "seed": "7", "inputs": seen}),
    )


def candidate(name: str, images: Mapping[str, Asset], **values: Any) -> dict[str, Any]:
    """Return the row of a candidate of three images, rejected unless said otherwise."""
    row = triplet_row(name, reasons=["style_leak>0.5"], style_leak=0.6, licences=["MIT"], style="hand")
    for role, one in images.items():
        row |= {f"{role}_ref": one.ref_id, f"{role}_id": one.asset_id}
    return row | values


def accepted(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a candidate's row as one that was accepted."""
    return {**row, "accepted": True, "reasons": [], "style_leak": 0.2}


def commit_rows(store: Store, rows: Sequence[Mapping[str, Any]], images: Sequence[Asset] = ()) -> None:
    """Commit candidates, the accepted among them in a shard."""
    kept = [row for row in rows if row["accepted"]]
    shards = []
    places: dict[str, dict[str, Any]] = {}
    if kept:
        samples = [
            Sample(row["candidate_id"], {role: f"{row[f'{role}_id']}".encode() for role in ROLES}, "", {})
            for row in kept
        ]
        shard = write_shard(store.files, samples, split="train")
        places = {
            row["candidate_id"]: {"shard": shard.name, "offset": shard.offsets[row["candidate_id"]]} for row in kept
        }
        shards = [shard]
    table = pa.Table.from_pylist(
        [{**row, **places.get(row["candidate_id"], {})} for row in rows], arrow_schema(Triplet)
    )
    store.commit(table, to_table(Asset, images), shards)


@dataclass
class History:
    """What a random history is made of: images by role, the candidates of each commit, and what each run saw."""

    images: dict[str, list[Asset]]
    commits: list[list[dict[str, Any]]]
    seen: list[list[str]] = field(default_factory=list)

    def write(self, folder: Path) -> Path:
        """Write the store, and return its folder."""
        store = Store(folder)
        everything = [one for images in self.images.values() for one in images]
        for rows in self.commits:
            commit_rows(store, rows, everything)
        return folder


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Draw a history of up to three commits of up to five candidates, with drawn images, attempts and runs."""
    targets = [image("target", number) for number in range(3)]
    contents = [image("content", 0), image("content", 1, locator="target-1.png"), drawn("content", 2, targets[:2])]
    styles = [image("style", 0), image("style", 1, package=None), drawn("style", 2, [targets[2], image("style", 5)])]
    images = {"target": targets, "content": contents, "style": styles}
    commits: list[list[dict[str, Any]]] = []
    rejected: list[str] = []
    names: list[str] = []
    for _ in range(draw(st.integers(1, 3))):
        rows = []
        for _ in range(draw(st.integers(1, 5))):
            chosen = {role: images[role][draw(st.integers(0, 2))] for role in ROLES}
            row = candidate(f"c{len(names)}", chosen)
            if rejected and draw(st.booleans()):
                row |= {"retries": draw(st.sampled_from(rejected)), "attempt": 1, "route": "seed"}
            row = accepted(row) if draw(st.booleans()) else row
            names.append(row["candidate_id"])
            rows.append(row)
        rejected += [row["candidate_id"] for row in rows if not row["accepted"] and not row["retries"]]
        commits.append(rows)
    kept = [row["candidate_id"] for rows in commits for row in rows if row["accepted"]]
    seen = draw(st.lists(st.lists(st.sampled_from(kept), unique=True), max_size=2)) if kept else []
    return History(images, commits, seen)


def write_run(folder: Path, samples: Sequence[str] | None, data: Sequence[Mapping[str, Any]] = ()) -> Path:
    """Write what a training run leaves: its record, its list of samples (or none), and two checkpoints."""
    for step in (10, 20):
        (folder / "checkpoints" / f"step-{step:08}").mkdir(parents=True)
    (folder / "run.json").write_text(json.dumps({"name": folder.name, "data": list(data)}))
    if samples is not None:
        pq.write_table(pa.table({"candidate_id": pa.array(samples, pa.string())}), folder / "samples.parquet")
    return folder


def times(run: Path, candidates: Collection[str]) -> dict[str, list[tuple[Path, int]]]:
    """Say that the first checkpoint was trained on candidates whose id is even, and the second on all of them."""
    first, second = (run / "checkpoints" / f"step-{step:08}" for step in (10, 20))
    return {one: [(first, 1 - int(one[-1], 16) % 2), (second, 2)] for one in candidates}
