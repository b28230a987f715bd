"""A store's history against a signature over it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from manifests.chain import GENESIS
from manifests.signing import Standing, standing
from manifests.verification.findings import Finding, Kind
from manifests.verification.logs import Replayed

_KINDS = {
    Standing.OTHER_KEY: (Kind.SIGNED_BY_ANOTHER, "another key signed this store"),
    Standing.FORGED: (Kind.SIGNATURE_FORGED, "the signature's statement is not what its key signed"),
    Standing.REWRITTEN: (Kind.HISTORY_REWRITTEN, "the history up to version {} is not the one that was signed on {}"),
}


def check_signature(signature: Mapping[str, Any], key: Path, states: Mapping[str, Replayed]) -> list[Finding]:
    """Return what is wrong between a store and a signature. Raises SignatureError on what is none, or no key."""
    heads: dict[int, str] = {}
    digest, digests = GENESIS, {one.version: one.digest for one in states["triplets"].links}
    for version in sorted(states["triplets"].entries):
        digest = digests.get(version, digest)
        heads[version] = digest
    beside = {name: [one.digest for one in state.links] for name, state in states.items() if name != "triplets"}
    newest = max(heads, default=-1)
    found, statement = standing(signature, key, heads=heads, newest=newest, beside=beside)
    if found not in _KINDS:
        return []
    kind, text = _KINDS[found]
    return [Finding(kind, "signature", text.format(statement.version, statement.signed))]
