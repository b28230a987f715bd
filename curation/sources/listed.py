"""What the sources that look for files have in common: a list of entries, made once a process."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

from curation.ingest.files import read_file
from curation.ingest.refusal import Reason, Refused
from curation.sources.base import Source
from manifests.images import UNTREATED, ImageRef

_CACHED = "_entries_by_locator"


@dataclass(frozen=True)
class Entry:
    """One image of a source: where its bytes lie, or why they are not to be read."""

    ref: ImageRef
    path: Path
    """The file that holds the bytes."""
    offset: int = 0
    """Position of the first byte in that file."""
    size: int | None = None
    """Number of bytes, or None for all of the file."""
    reason: Reason | None = None
    """Why reading refuses, where it does."""
    detail: str = ""
    within: Path | None = None
    """The folder, by its real path, that symbolic links must not leave."""


class ListedSource(Source):
    """A source that finds its images by looking, and serves them by locator.

    The list is made on first use and kept with the instance; it does not travel when the source is pickled or copied.
    """

    @abstractmethod
    def entries(self) -> Iterable[Entry]:
        """Yield all entries, freshly looked up, in an order that never changes; locators are unique."""

    @cached_property
    def _entries_by_locator(self) -> Mapping[str, Entry]:
        return {entry.ref.locator: entry for entry in self.entries()}

    @property
    def realistic_family(self) -> str | None:
        """Return the family that plays the photorealistic side, or None."""
        return None

    def refs(self) -> Sequence[ImageRef]:
        """Return every entry's reference, those that cannot be read included."""
        return tuple(entry.ref for entry in self._entries_by_locator.values())

    def read(self, ref: ImageRef, *, size: int) -> bytes:  # noqa: ARG002 - images have the size they have
        """Return the encoded bytes of an image.

        Raises Refused with the entry's own reason, or with what `curation.ingest.files.read_file` finds.
        """
        entry = self._entries_by_locator.get(ref.locator)
        if entry is None:
            raise Refused(Reason.MISSING, f"{ref.locator}: the source has no such entry")
        if entry.reason is not None:
            raise Refused(entry.reason, f"{ref.locator}: {entry.detail}")
        try:
            return read_file(entry.path, offset=entry.offset, size=entry.size, within=entry.within)
        except Refused as refused:
            raise Refused(refused.reason, f"{ref.locator}: {refused.detail}") from None

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        fields = {key: value for key, value in state["__dict__"].items() if key != _CACHED}
        return {**state, "__dict__": fields}

    def __copy__(self) -> Self:
        copied = super().__copy__()
        copied.__dict__.pop(_CACHED, None)
        return copied


def require_family(entries: Iterable[Entry], family: str) -> None:
    """Check that some entry is of a family. Raises ValueError, naming the families there are."""
    there = {entry.ref.family for entry in entries}
    if family not in there:
        names = ", ".join(sorted(there)[:20]) or "none, no image was found"
        raise ValueError(f"realistic_style is {family!r}, and no image is of that style; styles found: {names}")


def family_of(style: str) -> str:
    """Return the family that stands for a style's name: `+` becomes `-`, since it joins family and treatment."""
    return style.replace("+", "-")


def untreated(
    *,
    source: str,
    locator: str,
    fingerprint: str,
    subject: str,
    style: str,
    credit: Mapping[str, str | None],
) -> ImageRef:
    """Return a reference; of `credit`, caption, licence, author and attribution_url are used where they are given."""
    return ImageRef(
        source=source,
        locator=locator,
        fingerprint=fingerprint,
        subject=subject,
        family=family_of(style),
        treatment=UNTREATED,
        caption=credit.get("caption"),
        licence=credit.get("licence"),
        author=credit.get("author"),
        attribution_url=credit.get("attribution_url"),
    )
