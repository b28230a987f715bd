"""Whatever the batch sizes, tasks divide a shard evenly, and calls keep to the batch."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.graph.stage import even_parts
from curation.graph.streaming import task_rows


@settings(deadline=None)
@given(st.integers(1, 4096), st.lists(st.integers(1, 5000), min_size=1, max_size=7))
def test_tasks_hold_a_batch_and_divide_a_shard_and_each_other(shard: int, batches: list[int]) -> None:
    sizes = task_rows(shard, batches)
    for place, (rows, batch) in enumerate(zip(sizes, batches, strict=True)):
        assert shard % rows == 0
        assert rows >= min(batch, shard)
        assert rows % (sizes[place - 1] if place else 1) == 0


@pytest.mark.parametrize(
    ("shard", "batches", "expected"),
    [
        (512, [32, 32, 32], [32, 32, 32]),
        (512, [32, 128, 8], [32, 128, 128]),
        (512, [32, 300], [32, 512]),
        (509, [8], [509]),
    ],
)
def test_tasks_of_common_shards(shard: int, batches: list[int], expected: list[int]) -> None:
    assert task_rows(shard, batches) == expected


@settings(deadline=None)
@given(st.integers(0, 300), st.one_of(st.none(), st.integers(1, 64)))
def test_calls_keep_to_the_batch_lose_no_row_and_are_even(count: int, most: int | None) -> None:
    rows = [{"candidate_id": str(number)} for number in range(count)]
    parts = list(even_parts(rows, most))
    assert [row for part in parts for row in part] == rows
    if parts:
        sizes = [len(part) for part in parts]
        assert max(sizes) - min(sizes) <= 1
        assert max(sizes) <= (most or count)
        assert len(parts) == -(-count // (most or count))
