"""Clusters of images that look alike, by perceptual hash: exact, and without comparing all pairs."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

Bits = NDArray[np.uint8]
Places = NDArray[np.int64]

MOST_IN_BUCKET = 256
"""How far apart in a bucket two hashes are still compared; a bucket of more is a flat image's, and is said."""

_THREADS = 2
_HALF = np.uint64(32)
_PRIME = np.uint64(0x100000001B3)
_ONES = np.array([value.bit_count() for value in range(256)], np.uint8)


class Clusters:
    """Groups of hashes that are linked by distances within the limit; `members` holds places in the list given."""

    def __init__(self, members: list[Places], full_buckets: int) -> None:
        self.members = members
        self.full_buckets = full_buckets


def clusters(packed: Bits, *, max_distance: int) -> Clusters:
    """Return groups of two or more hashes `[hashes, bytes]` that differ in few bits, largest first.

    With `max_distance + 1` bands, two hashes within the distance agree on one band at least (Norouzi, Punjani and Fleet
    2012, section 3), so only hashes that share a band are compared. Equal hashes are joined first.
    """
    if len(packed) < 2:
        return Clusters([], 0)
    first, inverse = _distinct(packed)
    links, full = _links(packed[first], max_distance)
    labels = _components(len(first), links)[inverse]
    members = np.flatnonzero(np.bincount(labels)[labels] > 1)
    members = members[np.argsort(labels[members], kind="stable")]
    starts = np.flatnonzero(np.diff(labels[members]))
    groups = np.split(members, starts + 1) if members.size else []
    return Clusters(sorted(groups, key=lambda group: (-group.size, int(group[0]))), full)


def _distinct(packed: Bits) -> tuple[Places, Places]:
    """Return the first place of each run of equal hashes, and for each hash the number of its run.

    Hashes are ordered by a mix of their bytes. Where two different ones have the same mix, equal hashes may be split
    into several runs; they are linked by their bands then.
    """
    mixed = np.zeros(len(packed), np.uint64)
    for place in range(packed.shape[1]):
        mixed = (mixed ^ packed[:, place]) * _PRIME
    order = np.argsort(mixed)
    fresh = np.ones(len(packed), bool)
    fresh[1:] = (packed[order[1:]] != packed[order[:-1]]).any(axis=1)
    inverse = np.empty(len(packed), np.int64)
    inverse[order] = np.cumsum(fresh) - 1
    return order[fresh], inverse


def _links(packed: Bits, max_distance: int) -> tuple[Places, int]:
    bands = min(max_distance + 1, packed.shape[1] * 8)
    with ThreadPoolExecutor(_THREADS) as pool:
        found = list(pool.map(lambda band: _in_band(packed, band, bands, max_distance), range(bands)))
    pairs = [pair for links, _ in found for pair in links]
    joined = np.concatenate(pairs) if pairs else np.zeros((0, 2), np.int64)
    return joined, sum(full for _, full in found)


def _in_band(packed: Bits, band: int, bands: int, max_distance: int) -> tuple[list[Places], int]:
    sorted_keys = np.sort((_keys(packed, band, bands) << _HALF) | np.arange(len(packed), dtype=np.uint64))
    keys = (sorted_keys >> _HALF).astype(np.uint32)
    order = sorted_keys.astype(np.uint32)
    links: list[Places] = []
    alike = np.arange(len(keys) - 1)
    for step in range(1, MOST_IN_BUCKET + 1):
        alike = alike[alike + step < len(keys)]
        alike = alike[keys[alike] == keys[alike + step]]
        if not alike.size:
            return links, 0
        links += _near(packed, order[alike], order[alike + step], max_distance)
    return links, int(np.unique(keys[alike]).size)


def _near(packed: Bits, left: Places, right: Places, max_distance: int) -> Iterator[Places]:
    for start in range(0, len(left), 1 << 18):
        a, b = left[start : start + (1 << 18)], right[start : start + (1 << 18)]
        apart = _ONES[packed[a] ^ packed[b]].sum(axis=1)
        near = apart <= max_distance
        if near.any():
            yield np.stack([a[near], b[near]], axis=1)


def _keys(packed: Bits, band: int, bands: int) -> NDArray[np.uint64]:
    """Return the bits of a band as a number of 32 bits; of a wider band, its first 32, which only adds work."""
    first, last = (packed.shape[1] * 8 * edge // bands for edge in (band, band + 1))
    last = min(last, first + 32)
    keys = np.zeros(len(packed), np.uint64)
    for place in range(first // 8, (last - 1) // 8 + 1):
        low, high = max(first, place * 8) - place * 8, min(last, place * 8 + 8) - place * 8
        bits = (packed[:, place] >> (8 - high)) & ((1 << (high - low)) - 1)
        keys = (keys << np.uint64(high - low)) | bits
    return keys


def _components(count: int, links: Places) -> Places:
    """Return for each of `count` things the smallest thing that it is linked to, over any number of links.

    Each round takes the smaller label over every link, then follows labels to their end (Shiloach and Vishkin 1982).
    """
    labels = np.arange(count)
    while True:
        ends = labels[links]
        apart = ends[:, 0] != ends[:, 1]
        if not apart.any():
            return labels
        links, ends = links[apart], np.sort(ends[apart], axis=1)
        np.minimum.at(labels, ends[:, 1], ends[:, 0])
        while not np.array_equal(labels, labels[labels]):
            labels = labels[labels]
