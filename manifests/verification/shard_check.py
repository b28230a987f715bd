"""One shard: its bytes, its index, its samples and their records, against what the manifest says of them."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from manifests.chain import PARTS
from manifests.files import WritableFiles
from manifests.files.range_file import RangeFile
from manifests.records import ROLES
from manifests.sample_record import mark_of_record
from manifests.shard_index import MemberPlace, ShardIndexes
from manifests.shard_joining import DamagedShardError, read_index
from manifests.shards import FOLDER, index_of_stream
from manifests.verification.findings import Finding, Kind
from manifests.verification.rows import Stated

_BUFFER = 4 * 2**20


@dataclass
class ShardChecked:
    """What came of one shard."""

    samples: int = 0
    findings: list[Finding] = field(default_factory=list)


def check_shard(files: WritableFiles, shard: Mapping[str, Any], stated: Mapping[str, Stated] | None) -> ShardChecked:
    """Read a shard from end to end, once, as a stream.

    `stated` are the accepted candidates that lie in it now; None for one that others have replaced.
    """
    name, place = shard["name"], f"{FOLDER}/{shard['name']}"
    try:
        size = files.stat(place).size
    except FileNotFoundError:
        return ShardChecked(0, [Finding(Kind.SHARD_MISSING, place, f"shard {name} is missing")])
    marks: dict[str, str | None] = {}

    def seen(key: str, member: str, content: bytes) -> None:
        if member == "json":
            marks[key] = mark_of_record(content)

    stream = io.BufferedReader(RangeFile(files, place, size), _BUFFER)
    other = f"shard {name} has other bytes than were committed"
    truncated = Finding(Kind.SHARD_TRUNCATED, place, f"{other}: it ends after {size} of {shard['bytes']}")
    try:
        index = index_of_stream(stream, name=name, split=shard["split"], seen=seen)
    except (tarfile.TarError, OSError, EOFError) as error:
        wrong = Finding(Kind.SHARD_DAMAGED, place, f"{other}: {error}")
        return ShardChecked(0, [truncated if size < shard["bytes"] else wrong])
    if size < shard["bytes"]:
        return ShardChecked(0, [truncated])
    if (index["sha256"], size) != (shard["sha256"], shard["bytes"]):
        return ShardChecked(0, [Finding(Kind.SHARD_DAMAGED, place, other), *_images(name, index, stated)])
    done = ShardChecked(len(index["samples"]), list(_index(files, name, index)))
    if len(index["samples"]) != shard["samples"]:
        text = f"shard {name} has {len(index['samples'])} samples, and its commit says {shard['samples']}"
        done.findings.append(Finding(Kind.SAMPLE_UNKNOWN, place, text))
    done.findings += _images(name, index, stated)
    for key, row in (stated or {}).items():
        if marks.get(key) is not None and marks[key] != row.mark:
            text = f"the record of {key} in shard {name} does not say what its row says"
            done.findings.append(Finding(Kind.RECORD_DIFFERS, place, text))
    return done


def _index(files: WritableFiles, name: str, index: Mapping[str, Any]) -> Iterator[Finding]:
    place = f"{FOLDER}/{name}.index.json"
    try:
        same = read_index(files, name) == index
    except FileNotFoundError:
        yield Finding(Kind.INDEX_MISSING, place, f"the index of shard {name} is missing, so it does not describe it")
        return
    except DamagedShardError:
        same = False
    if not same:
        yield Finding(Kind.INDEX_WRONG, place, f"the index of shard {name} does not describe it")


def _images(name: str, index: Mapping[str, Any], stated: Mapping[str, Stated] | None) -> Iterator[Finding]:
    if stated is None:
        return
    place = f"{FOLDER}/{name}"
    samples = {sample["key"]: sample["members"] for sample in index["samples"]}
    for key in sorted(stated.keys() ^ samples.keys()):
        kind = Kind.SAMPLE_MISSING if key in stated else Kind.SAMPLE_UNKNOWN
        yield Finding(kind, place, f"candidate {key} is in only one of shard {name} and the manifest")
    for key in sorted(stated.keys() & samples.keys()):
        found = {member["name"].split(".")[0]: member["sha256"] for member in samples[key]}
        for role, wanted in zip(ROLES, stated[key].images, strict=True):
            if found.get(role) != wanted:
                text = f"the {role} image of {key} in shard {name} has another sha256 than the manifest"
                yield Finding(Kind.IMAGE_SWAPPED, place, text)


def check_replaced(
    indexes: ShardIndexes, files: WritableFiles, shard: Mapping[str, Any], homes: Mapping[str, Mapping[str, Any]]
) -> list[Finding]:
    """Check the index of a shard that was joined into others: rows name it still, and readers go by its index.

    `homes` are the shards that name parts of it, by name; many have parts in one, so `indexes` keeps what was read.
    """
    name = shard["name"]
    place = f"{FOLDER}/{name}.index.json"
    try:
        index = read_index(files, name)
    except FileNotFoundError:
        return [Finding(Kind.INDEX_MISSING, place, f"the index of shard {name}, which rows name, is missing")]
    except DamagedShardError:
        return [Finding(Kind.INDEX_WRONG, place, f"the index of shard {name} cannot be read")]
    for home, described in homes.items():
        try:
            now = indexes.get(home)
        except (OSError, ValueError):
            return []  # told where that shard itself is checked
        for sample in index["samples"]:
            there = dict(_moved(sample["members"], [part for part in described[PARTS] if part["shard"] == name]))
            if there and there != now.members(sample["key"]):
                return [Finding(Kind.INDEX_WRONG, place, f"the index of shard {name} does not say where samples lie")]
    return []


def _moved(
    members: Sequence[Mapping[str, Any]], parts: Sequence[Mapping[str, Any]]
) -> Iterator[tuple[str, MemberPlace]]:
    """Yield the members that lie in some parts of their shard, each with its place in the shard that has the parts."""
    for member in members:
        for part in parts:
            start, offset = part["start"], member["offset"]
            if start < offset <= start + part["bytes"]:  # an empty member at the end begins where the part ends
                yield member["name"], MemberPlace(offset - start + part["at"], member["size"], member["sha256"])
