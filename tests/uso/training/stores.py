"""Small stores of real pictures: shapes in drawn styles, committed as any job commits them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image, ImageDraw

from manifests.arrow_schema import arrow_schema
from manifests.identities import asset_id, digest_of
from manifests.records import ROLES, Asset, Triplet
from manifests.shards import Sample, write_shard
from manifests.store import Store

SQUARE = (64, 64)
COLOURS = ("crimson", "teal", "goldenrod", "slateblue", "olive")


def picture(subject: int, style: int, size: tuple[int, int], *, moved: int = 0) -> bytes:
    """Return a lossless WebP of a subject (a shape) drawn in a style (colour, ground, texture)."""
    image = Image.new("RGB", size, ("white", "beige", "black")[style % 3])
    pen = ImageDraw.Draw(image)
    width, height = size
    box = [width // 5 + moved, height // 5, width - width // 5 + moved, height - height // 5]
    shape = (pen.ellipse, pen.rectangle, pen.rounded_rectangle)[subject % 3]
    shape(box, fill=COLOURS[(subject + style) % 5], outline="gray", width=1 + style % 4)
    noise = np.random.default_rng([subject, style]).integers(0, 24, (height, width, 3))
    buffer = io.BytesIO()
    Image.fromarray((np.asarray(image) * 0.9 + noise).clip(0, 255).astype(np.uint8)).save(
        buffer, "webp", lossless=True, method=0
    )
    return buffer.getvalue()


def make_store(
    folder: Path,
    count: int = 48,
    *,
    sizes: Sequence[tuple[int, int]] = (SQUARE,),
    shard: int = 10,
    heldout: int = 8,
    first: int = 0,
) -> Store:
    """Commit `count` training samples and some held-out ones, in shards of `shard`, and return the store."""
    store = Store(folder)
    for split, numbers in (("train", range(first, first + count)), ("heldout", range(10_000, 10_000 + heldout))):
        for start in range(0, len(numbers), shard):
            _commit(store, list(numbers[start : start + shard]), split, sizes)
    store.write_index()
    return store


def _commit(store: Store, numbers: list[int], split: str, sizes: Sequence[tuple[int, int]]) -> None:
    samples, rows, assets = [], {}, []
    for number in numbers:
        size = sizes[number % len(sizes)]
        style, key = number % 7, digest_of(["sample", number])
        images = {
            "target": picture(number, style, size),
            "content": picture(number, 9, size, moved=2),
            "style": picture(number + 1, style, size),
        }
        prompt = "" if number % 2 else "a photo of the cat"
        samples.append(Sample(key, images, prompt, {"candidate_id": key}))
        rows[key] = _row(
            Triplet,
            candidate_id=key,
            accepted=True,
            layout="preserved" if number % 2 else "shifted",
            index=0,
            split=split,
            prompt=prompt,
            subject=("cat", "dog", "fox")[number % 3],
            style=f"ink-{style}",
            style_similarity=(number % 10) / 10,
            stylize_seed=1,
            destylize_seed=2,
            **{f"{role}_id": asset_id(images[role]) for role in ROLES},
        )
        assets += [
            _row(
                Asset,
                ref_id=digest_of([key, role]),
                asset_id=asset_id(images[role]),
                role=role,
                split=split,
                width=size[0],
                height=size[1],
            )
            for role in ROLES
        ]
    written = write_shard(store.files, samples, split=split)
    for key, row in rows.items():
        row |= {"shard": written.name, "offset": written.offsets[key]}
    triplets = pa.Table.from_pylist(list(rows.values()), arrow_schema(Triplet))
    store.commit(triplets, pa.Table.from_pylist(assets, arrow_schema(Asset)), [written])


def _row(record: type, **values: object) -> dict[str, object]:
    empty: dict[str, object] = {
        field.name: None if field.nullable else [] if pa.types.is_list(field.type) else ""
        for field in arrow_schema(record)
    }
    return empty | values
