"""New shards out of samples of old ones: bytes are copied as they lie, and nothing is encoded again."""

from __future__ import annotations

import hashlib
import json
import tarfile
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from manifests.files import Files, WritableFiles
from manifests.identities import asset_id, shard_name
from manifests.images import Split
from manifests.shards import FOLDER, Shard, tar_end, write_index

_BLOCK = 8 * 2**20
"""Bytes that are read in one go; a larger sample is read whole."""


class DamagedShardError(OSError):
    """A shard does not hold what its index says."""


@dataclass(frozen=True)
class Part:
    """A piece of an old shard and where it lies in a new one, in bytes."""

    shard: str
    start: int
    bytes: int
    at: int


@dataclass(frozen=True)
class Joined:
    """A new shard, and the pieces that it is made of."""

    shard: Shard
    parts: list[Part]


def read_index(files: Files, shard: str) -> dict[str, Any]:
    """Return the index beside a shard. Raises OSError, DamagedShardError where it is none."""
    name = f"{FOLDER}/{shard}.index.json"
    try:
        index = json.loads(files.read(name))
        if index["version"] != 1:
            raise ValueError(f"version {index['version']}")
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedShardError(f"{files.root}/{name}: is not the index of a shard ({error})") from None
    return dict(index)


def join(files: WritableFiles, shards: Sequence[str], *, split: Split, keep: Collection[str] | None = None) -> Joined:
    """Write one shard of the samples of others, in their order, or of those whose keys are to be kept.

    What is copied is held against the old indexes: each member, and each shard that is copied whole. Other bytes stop
    it with DamagedShardError, and nothing appears.
    """
    indexes = [read_index(files, shard) for shard in shards]
    chosen = [
        (index["shard"], sample)
        for index in indexes
        for sample in index["samples"]
        if keep is None or sample["key"] in keep
    ]
    name = shard_name(sample["key"] for _, sample in chosen)
    whole, entries, parts = hashlib.sha256(), list[dict[str, Any]](), list[Part]()
    sources = {index["shard"]: hashlib.sha256() for index in indexes}

    def chunks() -> Iterator[bytes]:
        at = 0
        for piece in _pieces(chosen):
            data = files.read_range(f"{FOLDER}/{piece.shard}", piece.start, piece.size)
            for sample in piece.samples:
                entries.append(_checked(sample, data, piece, at))
            parts.append(Part(piece.shard, piece.start, piece.size, at))
            whole.update(data)
            sources[piece.shard].update(data)
            at += len(data)
            yield data
        if keep is None:
            for index in indexes:
                _check_whole(index, sources[index["shard"]].copy())
        end = tar_end(at)
        whole.update(end)
        yield end

    size = files.put_stream(f"{FOLDER}/{name}", chunks())
    written = write_index(files, name, split=split, sha256=whole.hexdigest(), size=size, entries=entries)
    return Joined(written, _merged(parts))


@dataclass
class _Piece:
    shard: str
    start: int
    size: int
    samples: list[dict[str, Any]]


def _pieces(chosen: Sequence[tuple[str, dict[str, Any]]]) -> Iterator[_Piece]:
    """Yield runs of samples that lie side by side."""
    piece: _Piece | None = None
    for shard, sample in chosen:
        start, end = _extent(sample)
        alongside = piece is not None and piece.shard == shard and piece.start + piece.size == start
        if piece is not None and alongside and piece.size + end - start <= _BLOCK:
            piece.size += end - start
            piece.samples.append(sample)
            continue
        if piece is not None:
            yield piece
        piece = _Piece(shard, start, end - start, [sample])
    if piece is not None:
        yield piece


def _extent(sample: dict[str, Any]) -> tuple[int, int]:
    """Return where a sample begins and ends in its shard, headers and padding included."""
    members = sample["members"]
    start = min(member["offset"] for member in members) - tarfile.BLOCKSIZE
    end = max(member["offset"] + member["size"] for member in members)
    return start, end + -end % tarfile.BLOCKSIZE


def _checked(sample: dict[str, Any], data: bytes, piece: _Piece, at: int) -> dict[str, Any]:
    """Return a sample's entry in the new index; its members' bytes are held against the old one."""
    members = []
    for member in sample["members"]:
        start = member["offset"] - piece.start
        if asset_id(data[start : start + member["size"]]) != member["sha256"]:
            raise DamagedShardError(
                f"{piece.shard}: {sample['key']}.{member['name']} has other bytes than its index says"
            )
        members.append({**member, "offset": at + start})
    return {"key": sample["key"], "members": members}


def _check_whole(index: dict[str, Any], samples: Any) -> None:
    """Raise DamagedShardError where a shard's samples, headers included, do not make up the shard of its index."""
    size = max(_extent(sample)[1] for sample in index["samples"])
    samples.update(tar_end(size))
    if samples.hexdigest() != index["sha256"]:
        raise DamagedShardError(f"{index['shard']}: has other bytes than its index says")


def _merged(parts: Sequence[Part]) -> list[Part]:
    merged: list[Part] = []
    for part in parts:
        last = merged[-1] if merged else None
        if last and last.shard == part.shard and last.start + last.bytes == part.start:
            merged[-1] = Part(last.shard, last.start, last.bytes + part.bytes, last.at)
        else:
            merged.append(part)
    return merged
