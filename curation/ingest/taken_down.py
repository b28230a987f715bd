"""Images that were taken down do not come back: neither as targets nor as references."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

from curation.ingest.refusal import Reason
from manifests.records import ROLES
from manifests.takedown.marks import TakenDown

_DETAIL = "the image was taken down from this store"


def refuse_taken_down(images: pa.Table, taken: TakenDown) -> pa.Table:
    """Return rows of `assets` in which images that were taken down are refused, and lose their ids."""
    if not taken.refresh():
        return images
    rows = images.to_pylist()
    for row in rows:
        if taken.hold(row["asset_id"], row["perceptual_hash"]):
            row |= dict.fromkeys(("asset_id", "perceptual_hash", "width", "height", "bytes"))
            row |= {"refused": Reason.TAKEN_DOWN, "detail": _DETAIL}
    return pa.Table.from_pylist(rows, images.schema)


def reject_taken_down(rows: Sequence[dict[str, Any]], taken: TakenDown) -> None:
    """Reject candidates of which a reference was taken down: the row stays, and loses that image and its id."""
    if not taken.refresh():
        return
    for row in rows:
        gone = [role for role in ROLES if row[f"{role}_id"] and taken.hold(row[f"{role}_id"])]
        if gone:
            row |= {"accepted": False, "judgement": None}
            row["reasons"] = [*row["reasons"], f"ingest:{Reason.TAKEN_DOWN}"]
            row["errors"] = [*row["errors"], f"ingest:{Reason.TAKEN_DOWN}: {' and '.join(gone)}: {_DETAIL}"]
            row |= {f"{role}_id": None for role in gone} | {f"{role}_image": None for role in gone}
