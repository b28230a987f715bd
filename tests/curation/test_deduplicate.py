"""Near-duplicates are found exactly, and the neighbour named is one that was kept."""

from __future__ import annotations

import cv2
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from curation.deduplicate import nearest_earlier, perceptual_hash

hashes = st.lists(
    st.tuples(st.integers(0, 3), st.sets(st.integers(0, 255), max_size=14)).map(lambda p: _near(*p)), max_size=30
)


def _near(base: int, flips: set[int]) -> str:
    bits = np.random.default_rng(base).integers(0, 2, 256).astype(np.uint8)
    bits[list(flips)] ^= 1
    return np.packbits(bits).tobytes().hex()


def _brute(values: list[str], limit: int) -> list[int | None]:
    kept: list[int] = []
    found: list[int | None] = []
    for position, value in enumerate(values):
        apart = [(bin(int(value, 16) ^ int(values[k], 16)).count("1"), k) for k in kept]
        near = min((pair for pair in apart if pair[0] <= limit), default=None)
        found.append(near[1] if near else None)
        if near is None:
            kept.append(position)
    return found


@settings(max_examples=60, deadline=None)
@given(hashes, st.integers(0, 20))
def test_banding_finds_what_comparing_all_pairs_finds(values: list[str], limit: int) -> None:
    assert nearest_earlier(values, max_distance=limit) == _brute(values, limit)


def test_a_recompressed_and_resized_photograph_is_a_duplicate_and_another_is_not() -> None:
    photo = data.astronaut()
    small = cv2.resize(photo, (200, 200), interpolation=cv2.INTER_AREA)
    worse = cv2.imdecode(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], cv2.IMREAD_COLOR)
    other = data.chelsea()
    found = nearest_earlier([perceptual_hash(p) for p in (photo, other, worse)], max_distance=10)
    assert found == [None, None, 0]
