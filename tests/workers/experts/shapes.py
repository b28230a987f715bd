"""A small gallery of drawn shapes, for tests of experts."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from manifests.images import ImageRef, Split, split_of
from workers.experts.base import Picture

SUBJECTS = [f"subject-{n}" for n in range(60)]
STYLES = ("ink", "oil")


class Shapes:
    """A small gallery of drawn shapes: each subject a polygon of its own, each style a colour, `real` shaded."""

    def __init__(self, broken: frozenset[str] = frozenset()) -> None:
        self.broken = broken

    def _ref(self, subject: str, family: str) -> ImageRef:
        return ImageRef(source="shapes", locator=f"{family}/{subject}", fingerprint="1", subject=subject, family=family)

    def styled(self, style: str, split: Split) -> Sequence[ImageRef]:
        return [self._ref(s, style) for s in SUBJECTS if split_of(s) == split]

    def of_subject(self, subject: str, style: str) -> Sequence[ImageRef]:
        return [self._ref(subject, style)]

    def realistic(self, subject: str) -> Sequence[ImageRef]:
        return [self._ref(subject, "real")]

    def realistic_subjects(self, split: Split) -> list[str]:
        return sorted(s for s in SUBJECTS if split_of(s) == split)

    def styles(self) -> Sequence[str]:
        return STYLES

    def load(self, ref: ImageRef) -> Picture:
        if ref.locator in self.broken:
            raise LookupError("truncated")
        rng = np.random.default_rng(SUBJECTS.index(ref.subject))
        angles = np.sort(rng.uniform(0, 2 * np.pi, 7))
        radius = rng.uniform(25, 50, 7)
        points = np.stack([64 + radius * np.cos(angles), 64 + radius * np.sin(angles)], axis=1).round()
        mask = np.zeros((128, 128), np.uint8)
        cv2.fillPoly(mask, [points.astype(np.int32)], 255)
        pixels = np.full((128, 128, 3), 255, np.uint8)
        pixels[mask > 0] = {"ink": (20, 20, 20), "oil": (180, 90, 20), "real": (90, 120, 200)}[ref.family]
        return Picture(pixels, mask, ref)
