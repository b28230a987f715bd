"""Webdataset shards: written deterministically, indexed member by member, and verified."""

from __future__ import annotations

import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from manifests.identities import asset_id, shard_name
from manifests.images import Split
from manifests.records import ROLES

MAX_KEY = 64
"""Longest sample key: tar readers in use truncate long names, and a truncated key silently merges samples."""


@dataclass(frozen=True)
class Sample:
    """One accepted triplet as it lies in a shard: three encoded images, the prompt and the record."""

    key: str
    images: Mapping[str, bytes]
    prompt: str
    record: Mapping[str, Any]
    extension: str = "webp"


@dataclass(frozen=True)
class Shard:
    """A written shard: what the index and the manifest say of it."""

    name: str
    sha256: str
    bytes: int
    samples: int
    split: Split
    offsets: Mapping[str, int]


def write_shard(folder: Path, samples: Sequence[Sample], *, split: Split) -> Shard:
    """Write samples as one tar with its index beside it; the same samples give the same bytes and the same name.

    The file appears under its name only when it is complete, so a crash leaves nothing that could be mistaken for a
    shard. Raises ValueError on an empty list, a repeated key, or a key that tar readers would cut.
    """
    from webdataset import TarWriter  # brings torch with it, which readers of a store do not need

    _check_keys(samples)
    ordered = sorted(samples, key=lambda sample: sample.key)
    buffer = io.BytesIO()
    with TarWriter(buffer, encoder=False, mtime=0, user="triptych", group="triptych") as writer:
        for sample in ordered:
            members: dict[str, Any] = {"__key__": sample.key}
            members.update({f"{role}.{sample.extension}": sample.images[role] for role in ROLES})
            members["txt"] = sample.prompt.encode()
            members["json"] = json.dumps(sample.record, sort_keys=True, ensure_ascii=False).encode()
            writer.write(members)
    data = buffer.getvalue()
    name = shard_name(sample.key for sample in ordered)
    index = index_of(data, name=name, split=split)
    folder.mkdir(parents=True, exist_ok=True)
    _write_atomically(folder / f"{name}.index.json", json.dumps(index, sort_keys=True).encode())
    _write_atomically(folder / name, data)
    offsets = {entry["key"]: min(m["offset"] for m in entry["members"]) for entry in index["samples"]}
    return Shard(name, index["sha256"], len(data), len(ordered), split, offsets)


def index_of(data: bytes, *, name: str, split: Split) -> dict[str, Any]:
    """Return the index of a tar: for each sample, its key and each member's name, data offset, size and sha256."""
    samples: dict[str, list[dict[str, Any]]] = {}
    with tarfile.open(fileobj=io.BytesIO(data), mode="r:") as archive:
        for member in archive:
            key, _, part = member.name.partition(".")
            content = data[member.offset_data : member.offset_data + member.size]
            samples.setdefault(key, []).append(
                {"name": part, "offset": member.offset_data, "size": member.size, "sha256": asset_id(content)}
            )
    return {
        "version": 1,
        "shard": name,
        "split": split,
        "sha256": asset_id(data),
        "bytes": len(data),
        "samples": [{"key": key, "members": members} for key, members in samples.items()],
    }


def read_samples(path: Path) -> Iterator[tuple[str, dict[str, bytes]]]:
    """Yield `(key, {member name: bytes})` for each sample of a shard, in file order."""
    key, members = "", dict[str, bytes]()
    with tarfile.open(path, mode="r:") as archive:
        for member in archive:
            this, _, part = member.name.partition(".")
            if this != key and members:
                yield key, members
                members = {}
            key = this
            extracted = archive.extractfile(member)
            members[part] = extracted.read() if extracted else b""
    if members:
        yield key, members


def _check_keys(samples: Sequence[Sample]) -> None:
    if not samples:
        raise ValueError("a shard holds at least one sample")
    seen: set[str] = set()
    for sample in samples:
        if not sample.key or len(sample.key) > MAX_KEY or set(sample.key) & set("./\\ "):
            raise ValueError(
                f"sample key {sample.key!r} would not survive tar readers: use up to {MAX_KEY} plain letters"
            )
        if sample.key in seen:
            raise ValueError(f"sample key {sample.key!r} stands twice in one shard")
        seen.add(sample.key)


def _write_atomically(path: Path, data: bytes) -> None:
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
