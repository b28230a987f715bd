"""What batches promise: lack of memory halves them, one bad item fails alone, and nothing is lost or reordered."""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterator, Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.batching import Batches, Spoilt, is_out_of_memory


@pytest.fixture(scope="module", autouse=True)
def _small_heap() -> Iterator[None]:
    """Keep what other tests left behind out of the garbage collections that lack of memory asks for."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()


@settings(deadline=None)
@given(count=st.integers(0, 40), size=st.integers(1, 16), fits=st.integers(0, 16), bad=st.sets(st.integers(0, 40)))
def test_every_item_ends_as_its_own_result_or_its_own_reason(count: int, size: int, fits: int, bad: set[int]) -> None:
    seen: list[int] = []

    def work(items: Sequence[int]) -> list[int]:
        assert 1 <= len(items) <= batches.size
        if len(items) > fits:
            raise torch.OutOfMemoryError("CUDA out of memory.\nTried to allocate")
        if bad & set(items):
            raise ValueError(f"cannot do {items}")
        seen.extend(items)
        return [item * 2 for item in items]

    batches = Batches("test", size)
    made = batches.run(range(count), work)
    for item, one in enumerate(made):
        if fits == 0:
            assert one == Spoilt("out_of_memory", "CUDA out of memory.")
        elif item in bad:
            assert one == Spoilt("ValueError", f"cannot do {range(item, item + 1)}")
        else:
            assert one == item * 2
    assert seen == sorted(set(seen))
    assert batches.size <= size
    assert count <= max(fits, 1) or batches.size <= max(fits, 1)


def test_the_size_that_fits_is_kept_and_each_halving_said(caplog: pytest.LogCaptureFixture) -> None:
    sizes: list[int] = []

    def work(items: Sequence[int]) -> Sequence[int]:
        sizes.append(len(items))
        if len(items) > 3:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory")
        return items

    batches = Batches("kontext", 12)
    with caplog.at_level(logging.WARNING):
        batches.run(range(12), work)
        batches.run(range(4), work)
    assert sizes == [12, 6, 3, 3, 3, 3, 3, 1]
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"kontext: out of memory, from now on {size} images a batch" for size in (6, 3)]


def test_a_batch_that_is_filled_up_shrinks_even_for_one_item() -> None:
    def work(items: Sequence[str]) -> Sequence[str]:
        if batches.size > 2:
            raise MemoryError
        return items

    batches = Batches("filled", 8, fills=True)
    assert batches.run(["one"], work) == ["one"]
    assert batches.size == 2


def test_a_result_too_few_is_a_failure_of_the_item_and_not_of_its_neighbours() -> None:
    made = Batches("short", 4).run([1, 2, 3], lambda items: [item for item in items if item != 2])
    assert [isinstance(one, Spoilt) for one in made] == [False, True, False]


@pytest.mark.parametrize(
    ("error", "memory"),
    [
        (torch.OutOfMemoryError("x"), True),
        (MemoryError(), True),
        (RuntimeError("CUDA error: out of memory"), True),
        (RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes."), True),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), False),
        (ValueError("out of memory"), False),
    ],
)
def test_lack_of_memory_is_told_from_other_faults(error: Exception, memory: bool) -> None:
    assert is_out_of_memory(error) == memory
