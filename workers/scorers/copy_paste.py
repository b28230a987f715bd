"""Whether the content reference is a copy of the target."""

from __future__ import annotations

from typing import ClassVar

import imagehash
import numpy as np
from numpy.typing import NDArray
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
        return float((hash_bits(trio.target.pixels) == hash_bits(trio.content.pixels)).mean())


def hash_bits(pixels: Pixels) -> NDArray[np.bool_]:
    """Return the 256 bits of an image's perceptual hash."""
    found = imagehash.phash(Image.fromarray(pixels), hash_size=_SIDE)
    return np.asarray(found.hash, dtype=bool).ravel()
