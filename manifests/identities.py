"""Identities: everything that has a name gets it from what it is, never from when or where it was made."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Any

ID_LENGTH = 32
"""Hexadecimal digits of a candidate id or digest (128 bits); asset ids keep all 64."""


def asset_id(data: bytes) -> str:
    """Return the id of an asset: sha256 of its encoded bytes as stored, 64 hexadecimal digits."""
    return hashlib.sha256(data).hexdigest()


def digest_of(value: Any) -> str:
    """Return a digest of a JSON-serialisable value that does not depend on the order of its keys."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:ID_LENGTH]


def digest_of_file(path: Path) -> str:
    """Return the sha256 of a file, 64 hexadecimal digits, without reading all of it into memory at once."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest_of_unchanged_file(path: Path) -> str:
    """Return the sha256 of a file that is asked for often: it is read again only when its size or time has changed."""
    facts = path.stat()
    return _digest_once(path.resolve(), facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=4096)
def _digest_once(path: Path, size: int, modified: int) -> str:  # noqa: ARG001 - a file that changed is another key
    return digest_of_file(path)


def candidate_id(target: str, layout: str, index: int, generation: str) -> str:
    """Return the id of a candidate triplet.

    `target` is the target's asset id (or, where it was refused at ingest, the id of its reference), `generation` the
    digest of the part of the spec that decides what is generated. Scores, policy and stage sizes are not in it, so
    changing them makes no new candidates.
    """
    return digest_of([target, layout, index, generation])


def seed_of(candidate: str, role: str) -> int:
    """Return the seed of an expert call (63 bits), derived from the candidate's id and the expert's role."""
    return int.from_bytes(hashlib.sha256(f"{candidate}/{role}".encode()).digest()[:8], "big") >> 1


def shard_name(candidates: Iterable[str]) -> str:
    """Return the file name of the shard that holds these candidates: a hash of their ids, in any order."""
    return f"{digest_of(sorted(candidates))}.tar"
