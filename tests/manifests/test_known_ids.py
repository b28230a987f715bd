"""The set of known ids answers as Python's own set does, whatever the ids are and however they came."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.identities import digest_of
from manifests.known_ids import KnownIds, first_of_each

digests = st.integers(0, 40).map(lambda n: digest_of(n))
alike = st.integers(0, 5).map(lambda n: f"{'ab' * 8}{n:016x}")
"""Digests whose upper halves are equal."""
ids = st.lists(st.one_of(digests, alike, st.text(max_size=4), st.just("F" * 32)), max_size=30)


@settings(deadline=None)
@given(batches=st.lists(ids, max_size=6), asked=ids)
def test_it_answers_as_a_set_does(batches: list[list[str]], asked: list[str]) -> None:
    known, model = KnownIds(), set[str]()
    for batch in batches:
        known.add(pa.array(batch, pa.string()))
        model.update(batch)
        assert known.hold(pa.array(asked, pa.string())).to_pylist() == [one in model for one in asked]
    assert len(known) == sum(map(len, batches))


@given(texts=ids)
def test_the_first_of_each_id_is_found(texts: list[str]) -> None:
    firsts = first_of_each(pa.array(texts, pa.string())).to_pylist()
    assert [text for text, first in zip(texts, firsts, strict=True) if first] == list(dict.fromkeys(texts))


def test_slices_and_chunks_and_large_strings_are_read_rightly() -> None:
    texts = [digest_of(n) for n in range(1000)]
    known = KnownIds()
    known.add(pa.chunked_array([pa.array(texts[:300]).slice(100), pa.array(texts[300:500])]))
    large = pa.array(texts, pa.large_string()).slice(50)
    assert known.hold(large).to_pylist() == [100 <= n < 500 for n in range(50, 1000)]


def test_many_small_additions_stay_a_few_runs() -> None:
    known = KnownIds()
    for start in range(0, 5000, 10):
        known.add(pa.array([digest_of(n) for n in range(start, start + 10)]))
    assert len(known._runs) < 12
    assert all(known.hold(pa.array([digest_of(n) for n in range(5000)])).to_pylist())


def test_a_null_is_no_id() -> None:
    with pytest.raises(ValueError, match="an id is null"):
        KnownIds().add(pa.array([None], pa.string()))
