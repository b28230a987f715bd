"""Near-duplicates by perceptual hash: the same clusters as comparing all pairs gives."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.audit.hexadecimal import bytes_of
from manifests.audit.near_duplicates import Bits, clusters


@st.composite
def hashes(draw: st.DrawFn) -> Bits:
    """Draw hashes of which many are a few bits from another, some equal."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    size = draw(st.sampled_from([8, 32]))
    rows = [rng.integers(0, 256, size, np.uint8)]
    for _ in range(draw(st.integers(0, 40))):
        row = rows[rng.integers(len(rows))].copy()
        if rng.random() < 0.3:
            row = rng.integers(0, 256, size, np.uint8)
        for bit in rng.integers(0, size * 8, rng.integers(0, 8)):
            row[bit // 8] ^= 1 << (bit % 8)
        rows.append(row)
    return np.stack(rows)


def by_all_pairs(packed: Bits, max_distance: int) -> set[frozenset[int]]:
    groups = {place: {place} for place in range(len(packed))}
    for a, b in combinations(range(len(packed)), 2):
        if int(np.unpackbits(packed[a] ^ packed[b]).sum()) <= max_distance:
            joined = groups[a] | groups[b]
            for place in joined:
                groups[place] = joined
    return {frozenset(group) for group in groups.values() if len(group) > 1}


@settings(max_examples=80, deadline=None)
@given(hashes(), st.integers(0, 12))
def test_clusters_are_those_of_all_pairs(packed: Bits, max_distance: int) -> None:
    found = clusters(packed, max_distance=max_distance)
    assert {frozenset(group.tolist()) for group in found.members} == by_all_pairs(packed, max_distance)
    assert [group.size for group in found.members] == sorted((group.size for group in found.members), reverse=True)


def test_thousands_of_equal_hashes_are_one_cluster() -> None:
    packed = np.zeros((5000, 32), np.uint8)
    found = clusters(packed, max_distance=10)
    assert [group.size for group in found.members] == [5000]
    assert found.full_buckets == 0


def test_hashes_are_read_from_a_column() -> None:
    column = pa.chunked_array([["00ff"], [], ["0a0b", "ffff"]], pa.string())
    assert bytes_of(column).tolist() == [[0, 255], [10, 11], [255, 255]]
    assert bytes_of(column.slice(1)).tolist() == [[10, 11], [255, 255]]
    assert len(bytes_of(pa.chunked_array([], pa.string()))) == 0


def test_hashes_of_several_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="several lengths"):
        bytes_of(pa.chunked_array([["00ff", "00"]]))
