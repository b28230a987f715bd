"""The contract of a source."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

from pydantic import BaseModel, ConfigDict, Field

from manifests.images import ImageRef


class Source(BaseModel):
    """Where images come from: lists what it has, and hands over raw bytes.

    A source is its parameters (the keys of the job spec), so it travels to a Ray worker as they are; what it derives
    from them is cached per process, not pickled. It neither decodes nor trusts what it reads: `curation.ingest` does
    the one and forbids the other.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(default="", description="Name in rows and reports; the kind of the source unless given.")

    @property
    @abstractmethod
    def realistic_family(self) -> str | None:
        """Return the family that plays the photorealistic side and is never a target, or None."""

    @abstractmethod
    def refs(self) -> Sequence[ImageRef]:
        """Return every untreated image, in an order that never changes between runs.

        Entries that cannot be used (an unsafe path in an archive, a row of a table without its file) are listed too:
        reading them refuses with a reason, and the reason reaches the manifest.
        """

    @abstractmethod
    def read(self, ref: ImageRef, *, size: int) -> bytes:
        """Return the raw encoded bytes of an untreated image.

        `size` is the side in pixels that the job will use; a vector source renders at it, others ignore it. Raises
        `curation.ingest.refusal.Refused` where the entry cannot be read.
        """
