"""The index beside a shard, parsed: where each member of each sample lies."""

from __future__ import annotations

import json
import struct
import sys
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import NamedTuple

from manifests.files import Files
from manifests.identities import asset_id

KEPT_SAMPLES = 2**17
"""Samples of which the places are kept in memory, some 0.5 kB each; a loader's window spans far fewer."""

_PACKED = struct.Struct("<QQ32s")


class MemberPlace(NamedTuple):
    """Where one member of a sample lies in its shard, in bytes, and its sha256 as 64 hexadecimal digits."""

    offset: int
    size: int
    sha256: str


def same_bytes(data: bytes, sha256: str, place: str) -> bytes:
    """Return data that has this sha256. Raises OSError on other data, naming its place."""
    if asset_id(data) != sha256:
        raise OSError(f"{place} has other bytes than its index says; it was damaged")
    return data


class ShardIndex:
    """The places of all samples of one shard, packed: as Python objects they would take four times the memory."""

    def __init__(self, data: bytes, *, name: str) -> None:
        """Parse an index as `manifests.shards.index_of` makes it. Raises ValueError on anything else."""
        try:
            parsed = json.loads(data)
            if parsed["version"] != 1:
                raise ValueError(f"version {parsed['version']!r} is not known, only 1 is")
            shapes: dict[tuple[str, ...], tuple[str, ...]] = {}
            self._samples: dict[str, tuple[tuple[str, ...], bytes]] = {}
            for sample in parsed["samples"]:
                members = sample["members"]
                names = tuple(sys.intern(member["name"]) for member in members)
                packed = [_PACKED.pack(m["offset"], m["size"], _digest(m["sha256"])) for m in members]
                self._samples[sample["key"]] = (shapes.setdefault(names, names), b"".join(packed))
        except (ValueError, KeyError, TypeError, struct.error) as error:
            raise ValueError(f"{name}: is not the index of a shard ({type(error).__name__}: {error})") from error

    def __len__(self) -> int:
        return len(self._samples)

    def members(self, key: str) -> Mapping[str, MemberPlace]:
        """Return the places of a sample's members by name, e.g. `target.webp`; empty where there is no such sample."""
        names, packed = self._samples.get(key, ((), b""))
        places = _PACKED.iter_unpack(packed)
        return {n: MemberPlace(offset, size, sha.hex()) for n, (offset, size, sha) in zip(names, places, strict=True)}


def _digest(text: str) -> bytes:
    digest = bytes.fromhex(text)
    if len(digest) != 32:
        raise ValueError(f"{text!r} is no sha256")
    return digest


class ShardIndexes:
    """The indexes of a store's shards: each is read once, by whichever thread comes first, and the last ones kept."""

    def __init__(self, files: Files, *, kept_samples: int = KEPT_SAMPLES) -> None:
        self._files = files
        self._kept_samples = kept_samples
        self._slots: OrderedDict[str, _Slot] = OrderedDict()
        self._held = 0
        self._lock = threading.Lock()

    def get(self, shard: str) -> ShardIndex:
        """Return the index of a shard by the shard's file name. Raises OSError or ValueError."""
        with self._lock:
            slot = self._slots.setdefault(shard, _Slot())
            self._slots.move_to_end(shard)
        with slot.lock:
            if slot.index is None:
                name = f"shards/{shard}.index.json"
                slot.index = ShardIndex(self._files.read(name), name=f"{self._files.root}/{name}")
                self._account(shard, slot, len(slot.index))
            return slot.index

    def _account(self, shard: str, slot: _Slot, samples: int) -> None:
        with self._lock:
            if self._slots.get(shard) is slot:
                slot.samples = samples
                self._held += samples
            while self._held > self._kept_samples and len(self._slots) > 1:
                self._held -= self._slots.popitem(last=False)[1].samples


class _Slot:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.index: ShardIndex | None = None
        self.samples = 0
