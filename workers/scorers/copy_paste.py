"""Whether the content reference is a copy of the target."""

from __future__ import annotations

from typing import ClassVar

import imagehash
from PIL import Image

from workers.scorers.base import Pixels, Scorer, Trio

_SIDE = 16


class CopyPaste(Scorer):
    """Share of equal bits of the perceptual hashes of target and content reference, 0 to 1; low is good.

    256-bit pHash (Zauner 2010, section 3.2.2). Unrelated images share about half of their bits, copies nearly all.
    """

    column: ClassVar[str] = "copy_paste"

    def score(self, trio: Trio) -> float:
        """Return the share of equal bits."""
        apart = int(_hash(trio.target.pixels) - _hash(trio.content.pixels))
        return 1.0 - apart / _SIDE**2


def _hash(pixels: Pixels) -> imagehash.ImageHash:
    return imagehash.phash(Image.fromarray(pixels), hash_size=_SIDE)
