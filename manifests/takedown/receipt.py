"""What a takedown leaves as proof: what was done, and no id, name or picture of what went."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Receipt:
    """Of one takedown. Its marks are those of the tombstones: who has the image can show that it is meant."""

    takedown: str
    began: str
    finished: str
    by: list[str]
    """How the images were named: assets, sources, licences, authors, looks, refs."""
    images: int
    candidates: int
    accepted: int
    judgements: int
    salt: str
    asset_marks: list[str]
    """sha256 of `SALT:ASSET_ID`, for each image that went."""
    shards_before: list[str]
    shards_after: list[str]
    versions: dict[str, int]
    """Version of each table as of which it is gone."""
    heads: dict[str, str]
    training: list[dict[str, Any]] = field(default_factory=list)
    """Runs among whose samples some candidates were, and how often which checkpoints were trained on them."""
    outside: list[str] = field(default_factory=list)
    """What a store cannot reach."""

    def words(self) -> str:
        """Return the receipt as a person reads it."""
        lines = [
            f"Takedown {self.takedown}, begun {self.began}, finished {self.finished}",
            f"  named by {', '.join(self.by)}",
            f"  {self.images:,} images, {self.candidates:,} candidates ({self.accepted:,} accepted), "
            f"{self.judgements:,} judgements are gone",
            f"  {len(self.shards_before):,} shards were replaced by {len(self.shards_after):,}",
            *(f"  gone as of version {version} of `{table}`" for table, version in self.versions.items()),
        ]
        for run in self.training:
            seen = ", ".join(f"{one['checkpoint']} ({one['times']} times)" for one in run["checkpoints"])
            lines.append(
                f"  run {run['run']} had {run['candidates']:,} of the candidates; checkpoints: {seen or 'none'}"
            )
        lines += [f"  not reached: {one}" for one in self.outside]
        return "\n".join(lines) + "\n"


OUTSIDE = [
    "exports and copies of the store, made before",
    "checkpoints of training runs that saw it: they are named, and not changed",
    "older versions of objects, where the bucket keeps them",
]
