"""The order of samples: a pure function of (seed, epoch), formed into global batches of one shape.

An epoch of a mixture takes a fixed number of samples from each source; a source is passed through again and again, each
pass in an order of its own. Batches are formed along the stream, one bucket of shapes at a time. What an epoch leaves
over in a bucket goes first in the next one, so every sample is used exactly once a pass. How much is left over follows
from counts, so any epoch can be laid out without laying out all before it.

Neither ranks nor workers appear here: they take slices of a global batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]
Words = NDArray[np.uint64]


@dataclass(frozen=True, order=True)
class Position:
    """Where a run stands in its stream: the next global batch to be used, and the epoch it lies in."""

    epoch: int = 0
    batch: int = 0


@dataclass(frozen=True)
class SourceSizes:
    """What the order needs to know of a source: samples of each shard, each sample's bucket, and its share.

    `share` is the number of samples that an epoch takes from it, its own number unless the mixture has weights.
    """

    shards: tuple[int, ...]
    buckets: NDArray[np.int32]
    share: int

    @property
    def samples(self) -> int:
        """Return the number of samples."""
        return len(self.buckets)


@dataclass(frozen=True)
class GlobalBatch:
    """Samples of one optimizer step over all ranks: rows of the catalog, and which pass over its source each is of."""

    rows: Rows
    passes: Rows


class Order:
    """Lays out epochs. Two with the same arguments give the same batches, on any machine and any version of numpy.

    Shuffling sorts by a hash (SplitMix64) of seed, pass and row. `window` is the number of consecutive samples that
    are shuffled among each other after whole shards were: larger mixes better, smaller reads nearer together. Raises
    ValueError when there is nothing to lay out, or on sizes below 1.
    """

    def __init__(self, sources: Sequence[SourceSizes], *, seed: int, batch: int, window: int) -> None:
        if batch < 1 or window < 1:
            raise ValueError(f"batch and window must be at least 1, not {batch} and {window}")
        if not sources or any(source.samples == 0 or source.share < 1 for source in sources):
            raise ValueError("there is nothing to train on: a source without samples, or without a share")
        self.sources = tuple(sources)
        self.seed = seed
        self.batch = batch
        self.window = window
        self._starts = np.cumsum([0, *(source.samples for source in sources)])
        self._bucket_of = np.concatenate([source.buckets for source in sources])
        self._kinds = int(self._bucket_of.max()) + 1
        self._pass: Callable[[int, int], Rows] = lru_cache(maxsize=2 * len(self.sources))(self._lay_pass)
        self._stream: Callable[[int], tuple[Rows, Rows]] = lru_cache(maxsize=3)(self._lay_stream)
        self._epoch: Callable[[int], tuple[Rows, Rows]] = lru_cache(maxsize=2)(self._lay_epoch)

    @property
    def epoch_samples(self) -> int:
        """Return how many samples enter the stream in an epoch."""
        return sum(source.share for source in self.sources)

    def batches(self, epoch: int) -> int:
        """Return the number of global batches of an epoch; a small set may fill none."""
        return len(self._epoch(epoch)[0])

    def rows(self, epoch: int) -> Rows:
        """Return the rows of an epoch's global batches, `[batches, batch]`."""
        return self._epoch(epoch)[0]

    def at(self, position: Position) -> GlobalBatch:
        """Return the global batch at a position. Raises IndexError when the epoch has no such batch."""
        rows, passes = self._epoch(position.epoch)
        if not 0 <= position.batch < len(rows):
            raise IndexError(f"epoch {position.epoch} has {len(rows)} batches, there is no batch {position.batch}")
        return GlobalBatch(rows[position.batch], passes[position.batch])

    def settle(self, position: Position) -> Position:
        """Return the position itself, or where the next batch really lies when it is past its epoch's last."""
        epoch, batch = position.epoch, position.batch
        while batch >= self.batches(epoch):
            batch -= self.batches(epoch)
            epoch += 1
        return Position(epoch, batch)

    def after(self, position: Position) -> Position:
        """Return the position that follows."""
        return self.settle(Position(position.epoch, position.batch + 1))

    def _lay_pass(self, source: int, number: int) -> Rows:
        """Return a source's rows in the order of one pass: shards shuffled, then blocks of `window` samples."""
        sizes = np.asarray(self.sources[source].shards, dtype=np.int64)
        key = _words(self.seed, source, number)
        shards = np.argsort(_hashes(key, len(sizes)), kind="stable")
        starts = np.cumsum(sizes) - sizes
        rows = np.concatenate([np.arange(starts[shard], starts[shard] + sizes[shard]) for shard in shards])
        block = np.arange(len(rows)) // self.window
        mixed: Rows = self._starts[source] + rows[np.lexsort((_mix(key ^ rows.astype(np.uint64)), block))]
        return mixed

    def _lay_stream(self, epoch: int) -> tuple[Rows, Rows]:
        """Return (rows, passes) that enter in an epoch, sources spread evenly among each other."""
        rows, passes, places = [], [], []
        for index, source in enumerate(self.sources):
            first = epoch * source.share
            wanted = np.arange(first, first + source.share)
            numbers, within = wanted // source.samples, wanted % source.samples
            laid = np.empty(len(wanted), np.int64)
            for number in np.unique(numbers):
                mask = numbers == number
                laid[mask] = self._pass(index, int(number))[within[mask]]
            rows.append(laid)
            passes.append(numbers)
            places.append((np.arange(source.share) + 0.5) / source.share)
        order = np.argsort(np.concatenate(places), kind="stable")
        return np.concatenate(rows)[order], np.concatenate(passes)[order]

    def _lay_epoch(self, epoch: int) -> tuple[Rows, Rows]:
        """Return (rows, passes), each `[batches, batch]`: left-overs first, batches in the order they fill up."""
        early_rows, early_passes = self._left_over(epoch)
        new_rows, new_passes = self._stream(epoch)
        rows, passes = np.concatenate([early_rows, new_rows]), np.concatenate([early_passes, new_passes])
        bucket = self._bucket_of[rows]
        grouped = np.argsort(bucket, kind="stable")
        counts = np.bincount(bucket, minlength=self._kinds)
        starts = np.cumsum(counts) - counts
        full = [
            grouped[start : start + count // self.batch * self.batch].reshape(-1, self.batch)
            for start, count in zip(starts, counts, strict=True)
        ]
        batches = np.concatenate(full)
        batches = batches[np.argsort(batches[:, -1], kind="stable")]
        return rows[batches], passes[batches]

    def _left_over(self, epoch: int) -> tuple[Rows, Rows]:
        """Return (rows, passes) that earlier epochs could not place, oldest first."""
        lacking = self._entered(epoch) % self.batch
        rows, passes = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
        while lacking.any():
            epoch -= 1
            earlier_rows, earlier_passes = self._stream(epoch)
            bucket = self._bucket_of[earlier_rows]
            # The last `lacking[b]` samples of each bucket b: count from the end within the bucket.
            kept = _rank_from_end(bucket, self._kinds) < lacking[bucket]
            lacking = lacking - np.bincount(bucket[kept], minlength=self._kinds)
            rows.append(earlier_rows[kept])
            passes.append(earlier_passes[kept])
        return np.concatenate(rows[::-1]), np.concatenate(passes[::-1])

    def _entered(self, epoch: int) -> Rows:
        """Return how many samples of each bucket entered the stream before an epoch."""
        entered = np.zeros(self._kinds, np.int64)
        for index, source in enumerate(self.sources):
            whole, rest = divmod(epoch * source.share, source.samples)
            entered += whole * np.bincount(source.buckets, minlength=self._kinds)
            if rest:
                entered += np.bincount(self._bucket_of[self._pass(index, whole)[:rest]], minlength=self._kinds)
        return entered


def slice_of(batch: GlobalBatch, rank: int, world: int) -> slice:
    """Return the places of a global batch that a rank takes: as even as they go, in order of rank."""
    size = len(batch.rows)
    return slice(rank * size // world, (rank + 1) * size // world)


def _rank_from_end(bucket: NDArray[np.int32], kinds: int) -> Rows:
    order = np.argsort(bucket, kind="stable")
    counts = np.bincount(bucket, minlength=kinds)
    ends = np.cumsum(counts)
    rank = np.empty(len(bucket), np.int64)
    rank[order] = ends[bucket[order]] - 1 - np.arange(len(bucket))
    return rank


def _words(*numbers: int) -> Words:
    word = np.asarray(0x9E3779B97F4A7C15, dtype=np.uint64)
    for number in numbers:
        word = _mix(word ^ np.uint64(number % 2**64))
    return word


def _hashes(key: Words, count: int) -> Words:
    return _mix(key ^ np.arange(count, dtype=np.uint64))


def _mix(word: Words) -> Words:
    """Return SplitMix64's scramble of 64-bit words (Steele et al. 2014), wrapping around."""
    with np.errstate(over="ignore"):
        z = np.asarray(word, dtype=np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        return z ^ (z >> np.uint64(31))
