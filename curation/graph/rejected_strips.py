"""Thumbnails of a few rejected candidates, so that the report can show what was rejected and why."""

from __future__ import annotations

import io
from collections import defaultdict
from collections.abc import Sequence

import numpy as np
from PIL import Image

from curation.gallery import fit
from curation.graph.encoding import decode_stored
from curation.graph.rows import Row, origin_of, short_reason
from manifests.images import GENERATED
from manifests.store import Store

_A_REASON = 2
_SIDE = 96
_GAP = 4
_ORDER = ("style", "content", "target")


def keep_strips(store: Store, rows: Sequence[Row]) -> None:
    """Write one small strip (style, content, target) for a few rejected rows of each first reason.

    Rows with drawn images count apart from the others, so that what an expert failed at can be seen.

    The choice depends on the rows alone, so a batch that is packed again writes the same files. Rows without all
    three images are passed over.
    """
    by_reason: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: str(row["candidate_id"])):
        if row["reasons"] and all(row[f"{role}_image"] for role in _ORDER):
            drawn = [role for role in ("style", "content") if origin_of(row, role).source == GENERATED]
            by_reason[short_reason(row["reasons"][0]), *drawn].append(row)
    for chosen in by_reason.values():
        for row in chosen[:_A_REASON]:
            store.files.put(store.strip(row["candidate_id"]), _strip(row))


def _strip(row: Row) -> bytes:
    canvas = np.full((_SIDE, 3 * _SIDE + 2 * _GAP, 3), 255, np.uint8)
    for position, role in enumerate(_ORDER):
        small = fit(decode_stored(row[f"{role}_image"]), _SIDE)
        height, width = small.shape[:2]
        top, left = (_SIDE - height) // 2, position * (_SIDE + _GAP) + (_SIDE - width) // 2
        canvas[top : top + height, left : left + width] = small
    buffer = io.BytesIO()
    Image.fromarray(canvas).save(buffer, "WEBP", quality=80)
    return buffer.getvalue()
