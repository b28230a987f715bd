"""The images of a candidate, as a store still has them."""

from __future__ import annotations

import base64
from collections.abc import Collection
from dataclasses import dataclass

from manifests.audit.ledger import Ledger
from manifests.records import ROLES, Role


@dataclass(frozen=True)
class Picture:
    """One image file: `target`, `content`, `style`, or `strip` (thumbnails of a rejected candidate's three)."""

    role: str
    kind: str
    data: bytes

    @property
    def uri(self) -> str:
        """Return the image as a data URI."""
        return f"data:image/{self.kind};base64,{base64.b64encode(self.data).decode()}"


def pictures_of(ledger: Ledger, candidate: str, shard: str | None, roles: Collection[Role] = ROLES) -> list[Picture]:
    """Return the images of a candidate: out of its shard, or the strip that was kept of a rejected one; else none.

    Of an accepted one, only the images of these `roles` are read. Raises OSError or ValueError where the shard cannot
    be read.
    """
    if shard is not None:
        found = []
        for name, place in ledger.shard_indexes.get(shard).members(candidate).items():
            role, _, extension = name.partition(".")
            if role in roles:
                data = ledger.files.read_range(f"shards/{shard}", place.offset, place.size)
                found.append(Picture(role, "jpeg" if extension == "jpg" else extension, data))
        return sorted(found, key=lambda picture: ROLES.index(picture.role))
    try:
        return [Picture("strip", "webp", ledger.files.read(f"report/rejected/{candidate}.webp"))]
    except FileNotFoundError:
        return []
