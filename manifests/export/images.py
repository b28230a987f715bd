"""The images of exported rows, read out of the shards and checked against the manifest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from manifests.audit.ledger import AuditError, Ledger
from manifests.identities import asset_id
from manifests.records import ROLES


def read_images(ledger: Ledger, row: Mapping[str, Any]) -> dict[str, tuple[str, bytes]]:
    """Return file extension and bytes of each image of an accepted row, by role.

    Raises AuditError where one is not what the manifest says: what is passed on is never another image.
    """
    members = ledger.shard_indexes.get(row["shard"]).members(row["candidate_id"])
    found: dict[str, tuple[str, bytes]] = {}
    for name, place in members.items():
        role, _, extension = name.partition(".")
        if role in ROLES:
            found[role] = extension, ledger.files.read_range(f"shards/{row['shard']}", place.offset, place.size)
    for role in ROLES:
        if role not in found or asset_id(found[role][1]) != row[f"{role}_id"]:
            raise AuditError(
                f"the {role} image of {row['candidate_id']} in shard {row['shard']} is not what was committed; "
                "`triptych audit verify` tells what else is at fault"
            )
    return found
