"""Tar files in the webdataset layout as a source."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from curation.ingest.archive import Member, list_members
from curation.ingest.refusal import Reason, Refused
from curation.sources.image_names import IMAGE_EXTENSIONS, with_dots
from curation.sources.listed import Entry, ListedSource, family_of, require_family, untreated
from curation.sources.sidecars import read_sidecars
from curation.sources.tar_paths import find_tars, require_plain, tar_names


class WebDatasetSource(ListedSource):
    """Images in local, uncompressed tar files.

    Members that share a path up to the first dot of their name are one sample: `cat.jpg`, `cat.txt` (caption) and
    `cat.json` (subject, style, licence, author, attribution_url, caption). Without metadata the subject is the last
    part of the sample's key, and the style (the family of the references) is the folder inside the archive, or the
    archive's name where there is none. Locators read `<tar file name>#<member>`; fingerprints are made of size and
    time of change of the tar and the member's position. Building one raises ValueError where no usable tar is found.
    """

    kind: Literal["webdataset"] = "webdataset"
    urls: tuple[str, ...] = Field(
        min_length=1, description="Paths of tar files, with wildcards (`*.tar`) and braces (`{000..009}.tar`)."
    )
    realistic_style: str | None = Field(
        default=None, description="The style that plays the photorealistic side and is never a target."
    )
    licence: str | None = Field(default=None, description="SPDX identifier for images whose metadata state none.")
    extensions: Annotated[tuple[str, ...], BeforeValidator(with_dots)] = Field(
        default=IMAGE_EXTENSIONS, min_length=1, description="Which members count as images."
    )

    @model_validator(mode="after")
    def _usable(self) -> Self:
        for path in find_tars(self.urls):
            require_plain(path)
        if self.realistic_family is not None:
            require_family(self.entries(), self.realistic_family)
        return self

    @property
    def realistic_family(self) -> str | None:
        """Return the family of `realistic_style`, or None."""
        return None if self.realistic_style is None else family_of(self.realistic_style)

    def entries(self) -> Iterator[Entry]:
        """Yield the images, tar by tar and in the order of the members; what cannot be served comes with its reason."""
        paths = find_tars(self.urls)
        for path, name in zip(paths, tar_names(paths), strict=True):
            yield from self._tar_entries(path, name)

    def _tar_entries(self, tar: Path, tar_name: str) -> Iterator[Entry]:
        status = tar.stat()
        stamp = f"{status.st_size}-{status.st_mtime_ns}"
        samples: dict[str, dict[str, Member]] = defaultdict(dict)
        served: list[Member] = []
        for member in list_members(tar):
            key, extension = _split(member.name)
            if member.reason is not Reason.DUPLICATE_MEMBER:
                samples[key].setdefault(extension, member)
            if member.reason is not None or extension in self.extensions:
                served.append(member)
        for member in served:
            yield self._entry(tar, tar_name, stamp, member, samples[_split(member.name)[0]])

    def _entry(self, tar: Path, tar_name: str, stamp: str, member: Member, sample: Mapping[str, Member]) -> Entry:
        key, _ = _split(member.name)
        reason, detail = member.reason, member.detail
        stated: dict[str, str] = {}
        if reason is None:
            try:
                stated = read_sidecars(tar, sample)
            except Refused as refused:
                reason, detail = Reason.METADATA, refused.detail
        folder = "" if reason is Reason.UNSAFE_PATH else PurePosixPath(key).parent.name
        ref = untreated(
            source=self.name or self.kind,
            locator=f"{tar_name}#{member.key}",
            fingerprint=f"{stamp}-{member.offset}",
            subject=stated.get("subject") or PurePosixPath(key).name or member.name,
            style=stated.get("style") or folder or tar.stem,
            credit={**stated, "licence": stated.get("licence") or self.licence},
        )
        return Entry(ref, tar, member.offset, member.size, reason, detail)


def _split(name: str) -> tuple[str, str]:
    """Return key and extension of a member by webdataset's convention: they part at the first dot of the file name."""
    folder, slash, file = name.rpartition("/")
    stem, dot, extension = file.partition(".")
    return f"{folder}{slash}{stem}", f"{dot}{extension.lower()}"
