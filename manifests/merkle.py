"""Merkle roots over the rows and shards of a commit, and the chain that links commits (RFC 6962, section 2.1)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any


def leaf_of(row: Mapping[str, Any]) -> bytes:
    """Return the leaf hash of a row, independent of the order of its columns."""
    text = json.dumps(row, sort_keys=True, separators=(",", ":"), ensure_ascii=False, default=str)
    return hashlib.sha256(b"\x00" + text.encode()).digest()


def root_of(leaves: Sequence[bytes]) -> str:
    """Return the Merkle tree hash of the leaves, in the order given, as 64 hexadecimal digits."""
    return _root(list(leaves)).hex()


def _root(leaves: list[bytes]) -> bytes:
    if not leaves:
        return hashlib.sha256(b"").digest()
    level = leaves
    while len(level) > 1:
        paired = [hashlib.sha256(b"\x01" + a + b).digest() for a, b in zip(level[::2], level[1::2], strict=False)]
        level = [*paired, level[-1]] if len(level) % 2 else paired
    return level[0]


def link(previous: str, root: str) -> str:
    """Return the digest of a commit: it covers the commit's own root and every commit before it."""
    return hashlib.sha256(f"{previous}\n{root}".encode()).hexdigest()
