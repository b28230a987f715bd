"""The emoji atelier as a source."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from curation.corpus.cache import require_index
from curation.corpus.index import read_credits, read_drawing, read_render, subjects_by_set
from curation.corpus.packages import PACKAGES, REALISTIC_FAMILY, Package
from curation.corpus.render import render
from curation.ingest.refusal import Reason, Refused
from curation.sources.base import Source
from manifests.images import ImageRef

_BY_SET: dict[str, Package] = {package.set: package for package in PACKAGES}


class IconifySource(Source):
    """Emoji of the same subjects by different hands: vector sets, and 3-D renders as the realistic side.

    Locators read `<set>/<subject>`. Needs `triptych corpus fetch` once; `refs` and `read` raise
    `curation.corpus.cache.CorpusMissing` without it.
    """

    kind: Literal["iconify"] = "iconify"
    sets: tuple[str, ...] | None = Field(default=None, description="Sets to use, by name; all of them unless given.")

    @field_validator("sets")
    @classmethod
    def _known_sets(cls, sets: tuple[str, ...] | None) -> tuple[str, ...] | None:
        for unknown in (name for name in sets or () if name not in _BY_SET):
            raise ValueError(f"unknown set {unknown!r}; choose from {', '.join(_BY_SET)}")
        if sets is not None and not sets:
            raise ValueError(f"name at least one set of {', '.join(_BY_SET)}, or leave the key out for all")
        return sets

    @property
    def realistic_family(self) -> str:
        """Return the family of the 3-D renders."""
        return REALISTIC_FAMILY

    def refs(self) -> Sequence[ImageRef]:
        """Return every set's default subjects: sets in the order of the pins, subjects by name."""
        return _refs(require_index(), self.name or self.kind, self.sets)

    def read(self, ref: ImageRef, *, size: int) -> bytes:
        """Return an RGBA PNG of `size` x `size` pixels, or a 3-D render's own 256 x 256 RGBA WebP file."""
        set_name, _, subject = ref.locator.partition("/")
        package = _BY_SET.get(set_name)
        if package is None:
            raise Refused(Reason.MISSING, f"{ref.locator}: the atelier has no set {set_name!r}")
        index = require_index()
        if package.family == REALISTIC_FAMILY:
            webp = read_render(index, package, subject)
            if webp is None:
                raise Refused(Reason.MISSING, f"{ref.locator}: the set does not show this subject")
            return webp
        drawing = read_drawing(index, package, subject)
        if drawing is None:
            raise Refused(Reason.MISSING, f"{ref.locator}: the set does not show this subject")
        try:
            return render(drawing, size)
        except ValueError as error:
            raise Refused(Reason.CORRUPT, f"{ref.locator}: {error}") from error


@lru_cache(maxsize=8)
def _refs(index: Path, source: str, sets: tuple[str, ...] | None) -> tuple[ImageRef, ...]:
    credits = read_credits(index)
    return tuple(
        ImageRef(
            source=source,
            locator=f"{set_name}/{subject}",
            fingerprint=_BY_SET[set_name].spec,
            subject=subject,
            family=_BY_SET[set_name].family,
            licence=credits[set_name].licence,
            author=credits[set_name].author,
            attribution_url=credits[set_name].url,
            package=_BY_SET[set_name].spec,
        )
        for set_name, subjects in subjects_by_set(index).items()
        if sets is None or set_name in sets
        for subject in subjects
    )
