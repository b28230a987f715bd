"""The gallery: every image of a job's sources, by style and by subject, loaded safely and painted on demand."""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import overload

import cv2
import numpy as np
from numpy.typing import NDArray

from curation.ingest.decode import Decoded, decode
from curation.ingest.limits import Limits
from curation.ingest.refusal import Refused
from curation.sources.base import Source
from manifests.identities import digest_of, seed_of
from manifests.images import UNTREATED, ImageRef, Split
from workers.experts.base import Picture
from workers.treatments.base import Treatment

_CACHED = 192
_PAINTED_KINDS = ("iconify", "procedural")


class UnavailableError(LookupError):
    """An image of the gallery was refused at ingest; `reason` is why."""

    def __init__(self, refused: Refused) -> None:
        super().__init__(str(refused))
        self.reason = refused.reason
        self.detail = refused.detail


class Gallery:
    """All images of some sources.

    Sources of plain artwork and photographs are painted by every treatment of the job; a folder or archive that
    states its own styles is taken as it is. The realistic families are never styles.
    """

    def __init__(
        self, sources: Sequence[Source], painters: Mapping[str, Treatment | None], *, size: int, limits: Limits
    ) -> None:
        self._sources = {source_name(source): source for source in sources}
        self._painters = dict(painters)
        self._size = size
        self._limits = limits
        self._cache: OrderedDict[tuple[str, str, str], Picture] = OrderedDict()
        self._by_family: dict[tuple[str, Split], list[ImageRef]] = defaultdict(list)
        self._by_subject: dict[tuple[str, str], list[ImageRef]] = defaultdict(list)
        self._realistic: dict[str, list[ImageRef]] = defaultdict(list)
        self._treatments_of: dict[str, list[str]] = {}
        self._real_families: set[str] = set()
        self.refs: list[ImageRef] = []
        for source in sources:
            self._add(source)

    def _add(self, source: Source) -> None:
        real = source.realistic_family
        painted = source_kind(source) in _PAINTED_KINDS
        for ref in source.refs():
            self.refs.append(ref)
            self._by_family[ref.family, ref.split].append(ref)
            self._by_subject[ref.subject, ref.family].append(ref)
            if ref.family == real:
                self._realistic[ref.subject].append(ref)
                self._real_families.add(ref.family)
            names = list(self._painters) if painted else [UNTREATED]
            if painted and ref.family == real and source_kind(source) == "iconify":
                names = []
            elif painted and ref.family == real:
                names = [name for name in names if name != UNTREATED]
            elif not painted and ref.family == real:
                names = []
            self._treatments_of.setdefault(ref.family, names)

    def treatments_of(self, family: str) -> Sequence[str]:
        """Return the treatments under which images of a family may be targets."""
        return self._treatments_of.get(family, [])

    def styles(self) -> Sequence[str]:
        """Return the names of all styles that targets may have, sorted."""
        return sorted(style_name(family, name) for family, names in self._treatments_of.items() for name in names)

    def styled(self, style: str, split: Split) -> Sequence[ImageRef]:
        """Return the images of a style in a split."""
        family, treatment = split_style(style)
        return _Treated(self._by_family.get((family, split), []), treatment)

    def of_subject(self, subject: str, style: str) -> Sequence[ImageRef]:
        """Return the images of a subject in a style."""
        family, treatment = split_style(style)
        return _Treated(self._by_subject.get((subject, family), []), treatment)

    def realistic(self, subject: str) -> Sequence[ImageRef]:
        """Return the photorealistic images of a subject."""
        return self._realistic.get(subject, [])

    def realistic_subjects(self, split: Split) -> Sequence[str]:
        """Return the subjects of a split that have a photorealistic image, sorted."""
        return sorted(subject for subject, refs in self._realistic.items() if refs[0].split == split)

    def load(self, ref: ImageRef) -> Picture:
        """Return an image in the job's size, painted as its reference says. Raises UnavailableError where refused."""
        key = (ref.source, ref.locator, ref.treatment)
        if key in self._cache:
            self._cache.move_to_end(key)
            return self._cache[key]
        source = self._sources[ref.source]
        try:
            decoded = decode(source.read(ref, size=self._size), self._limits)
        except Refused as refused:
            raise UnavailableError(refused) from None
        picture = self._paint(decoded, ref)
        self._cache[key] = picture
        if len(self._cache) > _CACHED:
            self._cache.popitem(last=False)
        return picture

    def _paint(self, decoded: Decoded, ref: ImageRef) -> Picture:
        pixels = fit(decoded.pixels, self._size)
        mask = None if decoded.alpha is None or decoded.alpha.min() > 0 else fit(decoded.alpha, self._size)
        painter = self._painters.get(ref.treatment)
        if painter is not None:
            pixels = painter.paint(pixels, seed=seed_of(ref.locator, ref.treatment))
        return Picture(pixels, mask, ref)

    def ref_id(self, ref: ImageRef, transform: str | None = None) -> str:
        """Return the id of an image as used in a job: where it came from, how it was painted, sized and moved."""
        painter = self._painters.get(ref.treatment)
        return digest_of(
            [
                ref.source,
                ref.locator,
                ref.fingerprint,
                ref.treatment,
                painter.model_dump(mode="json") if painter else None,
                self._size,
                self._limits.model_dump(mode="json"),
                transform,
            ]
        )


class _Treated(Sequence[ImageRef]):
    """Images under one treatment, made as they are asked for: galleries have thousands of images a style."""

    def __init__(self, refs: Sequence[ImageRef], treatment: str) -> None:
        self._refs = refs
        self._treatment = treatment

    def __len__(self) -> int:
        return len(self._refs)

    @overload
    def __getitem__(self, index: int) -> ImageRef: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[ImageRef]: ...
    def __getitem__(self, index: int | slice) -> ImageRef | Sequence[ImageRef]:
        if isinstance(index, slice):
            return _Treated(self._refs[index], self._treatment)
        return self._refs[index].treated(self._treatment)

    def __iter__(self) -> Iterator[ImageRef]:
        return (ref.treated(self._treatment) for ref in self._refs)


def fit(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return an image whose longer side is `size` pixels, in its own aspect ratio (at least 1 pixel a side)."""
    height, width = image.shape[:2]
    factor = size / max(height, width)
    if factor == 1:
        return np.ascontiguousarray(image)
    method = cv2.INTER_AREA if factor < 1 else cv2.INTER_CUBIC
    goal = (max(1, round(width * factor)), max(1, round(height * factor)))
    return np.asarray(cv2.resize(image, goal, interpolation=method), dtype=np.uint8)


def source_kind(source: Source) -> str:
    """Return the kind of a source, as the spec writes it."""
    return str(getattr(source, "kind", type(source).__name__))


def source_name(source: Source) -> str:
    """Return the name by which rows name a source."""
    return source.name or source_kind(source)


def style_name(family: str, treatment: str) -> str:
    """Return the name of a style."""
    return family if treatment == UNTREATED else f"{family}+{treatment}"


def split_style(style: str) -> tuple[str, str]:
    """Return family and treatment of a style's name."""
    family, plus, treatment = style.rpartition("+")
    return (family, treatment) if plus else (style, UNTREATED)
