"""Finding near-duplicates among targets by perceptual hash, exactly and without comparing all pairs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import imagehash
import numpy as np
from numpy.typing import NDArray
from PIL import Image

HASH_SIDE = 16
HASH_BITS = HASH_SIDE**2


def perceptual_hash(pixels: NDArray[np.uint8]) -> str:
    """Return the 256-bit pHash of an image (Zauner 2010, section 3.2.2), as 64 hexadecimal digits."""
    return str(imagehash.phash(Image.fromarray(pixels), hash_size=HASH_SIDE))


def nearest_earlier(hashes: Sequence[str], *, max_distance: int) -> list[int | None]:
    """Return for each hash the position of the nearest earlier one within `max_distance` bits, or None.

    A position that itself repeats an earlier one is never named: the neighbour is always one that was kept. Exact:
    with `max_distance + 1` bands, two hashes within the distance agree on at least one band (Norouzi et al. 2012),
    and only those that do are compared. Ties go to the earliest.
    """
    if not hashes:
        return []
    bits = np.unpackbits(np.array([np.frombuffer(bytes.fromhex(h), np.uint8) for h in hashes]), axis=1)
    bands = np.array_split(np.arange(HASH_BITS), min(max_distance + 1, HASH_BITS))
    keys = [[row.tobytes() for row in np.packbits(bits[:, band], axis=1)] for band in bands]
    buckets: list[dict[bytes, list[int]]] = [defaultdict(list) for _ in bands]
    found: list[int | None] = []
    for position in range(len(hashes)):
        rivals = sorted({rival for band, table in enumerate(buckets) for rival in table.get(keys[band][position], [])})
        nearest = _nearest(bits, position, rivals, max_distance)
        found.append(nearest)
        if nearest is None:
            for band, table in enumerate(buckets):
                table[keys[band][position]].append(position)
    return found


def _nearest(bits: NDArray[np.uint8], position: int, rivals: list[int], max_distance: int) -> int | None:
    if not rivals:
        return None
    distances = np.count_nonzero(bits[rivals] != bits[position], axis=1)
    best = int(distances.argmin())
    return rivals[best] if distances[best] <= max_distance else None
