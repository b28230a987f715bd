"""The order: pure, exact over any interruption, every sample once a pass, one shape a batch."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from uso.training.order import GlobalBatch, Order, Position, SourceSizes, slice_of

Pair = tuple[int, int]


def source(shards: list[int], kinds: int, share: int | None = None) -> SourceSizes:
    samples = sum(shards)
    buckets = (np.arange(samples) * 7 % kinds).astype(np.int32)
    return SourceSizes(tuple(shards), buckets, share or samples)


def stream(order: Order, batches: int, start: Position = Position()) -> list[list[Pair]]:  # noqa: B008
    position, taken = order.settle(start), []
    for _ in range(batches):
        batch = order.at(position)
        taken.append(list(zip(batch.rows.tolist(), batch.passes.tolist(), strict=True)))
        position = order.after(position)
    return taken


sources = st.lists(
    st.builds(
        source,
        st.lists(st.integers(1, 30), min_size=1, max_size=6),
        st.integers(1, 4),
        st.one_of(st.none(), st.integers(1, 60)),
    ),
    min_size=1,
    max_size=3,
)


@settings(max_examples=60, deadline=None)
@given(sources, st.integers(0, 2**40), st.integers(1, 9), st.integers(1, 50), st.integers(1, 40))
def test_resuming_anywhere_goes_on_with_the_very_same_batches(
    mixture: list[SourceSizes], seed: int, batch: int, window: int, stop: int
) -> None:
    whole = Order(mixture, seed=seed, batch=batch, window=window)
    uninterrupted = stream(whole, stop + 5)
    position = whole.settle(Position())
    for _ in range(stop):
        position = whole.after(position)
    fresh = Order(mixture, seed=seed, batch=batch, window=window)
    assert stream(fresh, 5, position) == uninterrupted[stop:]


@settings(max_examples=60, deadline=None)
@given(sources, st.integers(0, 2**40), st.integers(1, 9), st.integers(1, 50))
def test_no_sample_is_used_twice_in_a_pass(mixture: list[SourceSizes], seed: int, batch: int, window: int) -> None:
    order = Order(mixture, seed=seed, batch=batch, window=window)
    assert set(Counter(pair for taken in stream(order, 60) for pair in taken).values()) == {1}


def test_every_pass_of_a_single_source_is_complete_but_for_what_waits() -> None:
    order = Order([source([10, 7, 3], 3)], seed=1, batch=4, window=8)
    used = {pair for epoch in range(6) for index in range(order.batches(epoch)) for pair in _pairs(order, epoch, index)}
    complete = {(row, number) for row in range(20) for number in range(5)}
    assert complete <= used


def _pairs(order: Order, epoch: int, index: int) -> list[Pair]:
    batch = order.at(Position(epoch, index))
    return list(zip(batch.rows.tolist(), batch.passes.tolist(), strict=True))


@given(st.integers(0, 2**40), st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_a_batch_has_one_shape(seed: int, kinds: int) -> None:
    made = source([40, 25], kinds)
    order = Order([made], seed=seed, batch=5, window=16)
    for taken in stream(order, 30):
        assert len({int(made.buckets[row]) for row, _ in taken}) == 1


def test_epochs_differ_and_seeds_differ() -> None:
    order = Order([source([50, 50], 1)], seed=3, batch=10, window=25)
    assert order.rows(0).tolist() != order.rows(1).tolist()
    assert order.rows(0).tolist() != Order([source([50, 50], 1)], seed=4, batch=10, window=25).rows(0).tolist()


def test_samples_are_shuffled_within_the_window_and_not_beyond() -> None:
    order = Order([source([100] * 10, 1)], seed=0, batch=50, window=100)
    rows = order.rows(0).reshape(-1)
    blocks = [set(block // 100) for block in rows.reshape(10, 100)]
    assert all(len(block) == 1 for block in blocks), "a window of one shard's size never mixes two shards"
    inside = rows[:100] % 100
    assert sorted(inside) == list(range(100))
    assert sum(later < earlier for earlier, later in pairwise(inside)) > 30


def test_weights_decide_how_often_each_source_is_seen() -> None:
    order = Order([source([90], 1, share=75), source([10], 1, share=25)], seed=0, batch=5, window=100)
    counts = Counter(row < 90 for taken in stream(order, 200) for row, _ in taken)
    assert counts[True] == 3 * counts[False]


def test_a_set_smaller_than_a_batch_is_gathered_over_epochs() -> None:
    order = Order([source([3], 1)], seed=0, batch=8, window=4)
    taken = stream(order, 6)
    assert Counter(pair for batch in taken for pair in batch) == Counter(
        {(row, number): 1 for row in range(3) for number in range(16)}
    )


@given(st.integers(1, 70), st.integers(1, 9))
def test_ranks_share_a_batch_without_gap_or_overlap(size: int, world: int) -> None:
    batch = GlobalBatch(np.arange(size), np.zeros(size, np.int64))
    parts = [batch.rows[slice_of(batch, rank, world)] for rank in range(world)]
    assert np.concatenate(parts).tolist() == list(range(size))
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_a_far_position_needs_no_walk_through_the_epochs_before_it() -> None:
    laid: list[int] = []

    class Counting(Order):
        def _lay_stream(self, epoch: int) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
            laid.append(epoch)
            return super()._lay_stream(epoch)

    Counting([source([97], 2)], seed=0, batch=8, window=16).at(Position(100_000, 3))
    assert 1 <= len(laid) <= 3


def test_nothing_to_lay_out_is_an_error() -> None:
    with pytest.raises(ValueError, match="nothing to train on"):
        Order([], seed=0, batch=4, window=4)
    with pytest.raises(IndexError, match="has 2 batches"):
        Order([source([8], 1)], seed=0, batch=4, window=4).at(Position(0, 2))
