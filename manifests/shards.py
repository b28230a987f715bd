"""Webdataset shards: written deterministically as a stream, and indexed member by member."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from manifests.files import WritableFiles
from manifests.identities import asset_id, shard_name
from manifests.images import Split
from manifests.records import ROLES

FOLDER = "shards"

MAX_KEY = 64
"""Longest sample key: tar readers in use truncate long names, and a truncated key silently merges samples."""

_OWNER = "triptych"
_MODE = 0o444


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

    def described(self) -> dict[str, Any]:
        """Return what a commit says of it."""
        return {
            "name": self.name,
            "split": self.split,
            "samples": self.samples,
            "bytes": self.bytes,
            "sha256": self.sha256,
        }


def write_shard(files: WritableFiles, samples: Sequence[Sample], *, split: Split) -> Shard:
    """Write samples as one tar with its index beside it; the same samples give the same bytes and the same name.

    The tar is made and sent sample by sample. It appears under its name only when it is complete, so a crash leaves
    nothing that could be mistaken for a shard. Raises ValueError on an empty list, a repeated key, or a key that tar
    readers would cut.
    """
    _check_keys(samples)
    ordered = sorted(samples, key=lambda sample: sample.key)
    name = shard_name(sample.key for sample in ordered)
    whole, entries = hashlib.sha256(), list[dict[str, Any]]()

    def chunks() -> Iterator[bytes]:
        at = 0
        for sample in ordered:
            data, members = _packed(sample, at)
            entries.append({"key": sample.key, "members": members})
            whole.update(data)
            at += len(data)
            yield data
        end = tar_end(at)
        whole.update(end)
        yield end

    size = files.put_stream(f"{FOLDER}/{name}", chunks())
    return write_index(files, name, split=split, sha256=whole.hexdigest(), size=size, entries=entries)


def write_index(
    files: WritableFiles, name: str, *, split: Split, sha256: str, size: int, entries: list[dict[str, Any]]
) -> Shard:
    """Write the index beside a shard, and return the shard."""
    index = {"version": 1, "shard": name, "split": split, "sha256": sha256, "bytes": size, "samples": entries}
    files.put(f"{FOLDER}/{name}.index.json", json.dumps(index, sort_keys=True).encode())
    offsets = {entry["key"]: min(m["offset"] for m in entry["members"]) for entry in entries}
    return Shard(name, sha256, size, len(entries), split, offsets)


def tar_end(size: int) -> bytes:
    """Return what ends a tar of so many bytes: two empty blocks, and zeros up to a whole record."""
    return bytes(2 * tarfile.BLOCKSIZE + -(size + 2 * tarfile.BLOCKSIZE) % tarfile.RECORDSIZE)


def index_of(data: bytes, *, name: str, split: Split) -> dict[str, Any]:
    """Return the index of a tar: for each sample, its key and each member's name, data offset, size and sha256."""
    return index_of_stream(io.BytesIO(data), name=name, split=split)


def index_of_stream(
    stream: BinaryIO,
    *,
    name: str,
    split: Split,
    seen: Callable[[str, str, bytes], None] = lambda _key, _member, _content: None,
) -> dict[str, Any]:
    """Return the index of a tar that is read once, from its beginning to its end, a member in memory at a time.

    `seen` is called with each: its sample's key, its name, its bytes. Raises tarfile.TarError on what is no tar.
    """
    source = _Hashed(stream)
    samples: dict[str, list[dict[str, Any]]] = {}
    with tarfile.open(fileobj=source, mode="r|") as archive:  # type: ignore[call-overload]  # needs `read` alone
        for member in archive:
            key, _, part = member.name.partition(".")
            extracted = archive.extractfile(member)
            content = extracted.read() if extracted else b""
            seen(key, part, content)
            samples.setdefault(key, []).append(
                {"name": part, "offset": member.offset_data, "size": member.size, "sha256": asset_id(content)}
            )
    while source.read(1 << 20):
        pass
    return {
        "version": 1,
        "shard": name,
        "split": split,
        "sha256": source.sha256.hexdigest(),
        "bytes": source.size,
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


class _Hashed:
    """A stream that is hashed and measured as it is read."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self.sha256 = hashlib.sha256()
        self.size = 0

    def read(self, size: int) -> bytes:
        data = self._stream.read(size)
        self.sha256.update(data)
        self.size += len(data)
        return data


def _packed(sample: Sample, at: int) -> tuple[bytes, list[dict[str, Any]]]:
    """Return a sample as it lies in a tar from `at` on, and its members' entries in the index.

    The bytes are those of webdataset's own TarWriter, which brings torch with it and cannot be read while it writes.
    """
    members = {f"{role}.{sample.extension}": sample.images[role] for role in ROLES}
    members["txt"] = sample.prompt.encode()
    members["json"] = json.dumps(sample.record, sort_keys=True, ensure_ascii=False).encode()
    data, entries = bytearray(), []
    for name in sorted(members):
        content = members[name]
        header = tarfile.TarInfo(f"{sample.key}.{name}")
        header.size, header.mode, header.uname, header.gname = len(content), _MODE, _OWNER, _OWNER
        data += header.tobuf(tarfile.USTAR_FORMAT)
        entries.append({"name": name, "offset": at + len(data), "size": len(content), "sha256": asset_id(content)})
        data += content
        data += bytes(-len(content) % tarfile.BLOCKSIZE)
    return bytes(data), entries


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
