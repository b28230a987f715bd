"""The training samples of a Triptych store, as any library may take them up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from loaders.images import ROLES
from manifests.shards import read_samples


def train_shards(store: Path) -> list[Path]:
    """Return the shards that the store's index names for training."""
    index = json.loads((store / "index-train.json").read_text())
    return [store / shard["url"] for shard in index["shardlist"]]


def records(store: Path) -> Iterator[dict[str, str | bytes]]:
    """Yield `id`, `text` and the encoded images by role of each training sample, in the order of the shards."""
    for shard in train_shards(store):
        for key, members in read_samples(shard):
            images = {role: next(data for name, data in members.items() if name.startswith(role)) for role in ROLES}
            yield {"id": key, "text": members["txt"].decode(), **images}


CHUNK_BYTES = 1 << 26
"""64 MiB, what both mosaicml-streaming and litdata take by default."""


def convert(name: str, store: Path, folder: Path, chunk_bytes: int = CHUNK_BYTES) -> Path:
    """Write a library's own copy below a folder unless it is there, and return its place."""
    from loaders.contract import MODULES, library

    out = folder / MODULES[name]
    done = folder / f"{MODULES[name]}.done"
    if not done.exists():
        library(name).convert(store, out, chunk_bytes)
        done.touch()
    return out
