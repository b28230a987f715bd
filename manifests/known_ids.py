"""Sets of ids that fit into memory by the ten million: 16 bytes each, sorted."""

from __future__ import annotations

import hashlib

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from manifests.identities import ID_LENGTH

_DIGITS = frozenset("0123456789abcdef")
_NIBBLES = np.full(256, 255, np.uint8)
_NIBBLES[[ord(digit) for digit in "0123456789abcdef"]] = np.arange(16)

_BLOCK = 1 << 17
"""Ids that are looked at in one go; what is needed on the way is a few times their size."""

Halves = tuple[NDArray[np.uint64], NDArray[np.uint64]]
"""The upper and the lower 64 bits of ids."""


class KnownIds:
    """A growing set of ids, as runs of sorted numbers of which each is more than twice as long as the next.

    A digest (32 hexadecimal digits) stands for itself, another text for 128 bits of its BLAKE2b. Adding ids costs a
    sort and now and then a merge, so that many small additions cost O(log m) an id in all, where `m` ids are there;
    asking costs O(log m) in each run, of which there are O(log m) at most.
    """

    def __init__(self) -> None:
        self._runs: list[Halves] = []

    def __len__(self) -> int:
        return sum(len(upper) for upper, _ in self._runs)

    def add(self, ids: pa.ChunkedArray | pa.Array) -> None:
        """Add ids; such as are there already are counted again by `len`, and found once."""
        parts = [_halves(block) for block in _blocks(ids)]
        if parts:
            self._runs.append(_sorted(parts))
        while len(self._runs) > 1 and len(self._runs[-2][0]) <= 2 * len(self._runs[-1][0]):
            last, before = self._runs.pop(), self._runs.pop()
            self._runs.append(_sorted([before, last]))

    def hold(self, ids: pa.ChunkedArray | pa.Array) -> pa.ChunkedArray:
        """Return for each id whether it is in the set, as booleans in the order of the ids."""
        found = [pa.array(self._found(*_halves(block))) for block in _blocks(ids)]
        return pa.chunked_array(found, pa.bool_())

    def _found(self, upper: NDArray[np.uint64], lower: NDArray[np.uint64]) -> NDArray[np.bool_]:
        order = np.argsort(upper)  # a search that moves on through a run stays in the processor's cache
        upper, lower = upper[order], lower[order]
        found = np.zeros(len(upper), np.bool_)
        for run_upper, run_lower in self._runs:
            at = np.searchsorted(run_upper, upper)
            left = np.flatnonzero(~found & (at < len(run_upper)))
            while len(left):  # ids whose upper halves are equal lie side by side
                left = left[run_upper[at[left]] == upper[left]]
                same = run_lower[at[left]] == lower[left]
                found[left[same]] = True
                left = left[~same]
                at[left] += 1
                left = left[at[left] < len(run_upper)]
        answers = np.empty_like(found)
        answers[order] = found
        return answers


def first_of_each(ids: pa.ChunkedArray | pa.Array) -> pa.Array:
    """Return for each id whether it is its first occurrence, as booleans."""
    seen: set[str] = set()
    return pa.array([not (one in seen or seen.add(one)) for one in ids.to_pylist()], pa.bool_())  # type: ignore[func-returns-value]


def _blocks(ids: pa.ChunkedArray | pa.Array) -> list[pa.Array]:
    chunks = ids.chunks if isinstance(ids, pa.ChunkedArray) else [ids]
    return [chunk.slice(start, _BLOCK) for chunk in chunks for start in range(0, len(chunk), _BLOCK)]


def _sorted(parts: list[Halves]) -> Halves:
    upper = np.concatenate([part[0] for part in parts])
    order = np.argsort(upper, kind="stable")  # merges runs that are sorted already
    lower = np.concatenate([part[1] for part in parts])
    return upper[order], lower[order]


def _halves(block: pa.Array) -> Halves:
    """Return the halves of some ids. Raises ValueError on a null."""
    if block.null_count:
        raise ValueError("an id is null")
    texts = block.cast(pa.string())
    if len(texts) and pc.all(pc.equal(pc.binary_length(texts), ID_LENGTH)).as_py():
        offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1]
        letters = np.frombuffer(texts.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
        nibbles = _NIBBLES[letters]
        if nibbles.max() < 16:
            numbers = ((nibbles[0::2] << 4) | nibbles[1::2]).view(">u8").astype(np.uint64).reshape(-1, 2)
            return np.ascontiguousarray(numbers[:, 0]), np.ascontiguousarray(numbers[:, 1])
    joined = b"".join(map(_bytes_of, texts.to_pylist()))
    numbers = np.frombuffer(joined, ">u8").astype(np.uint64).reshape(-1, 2)
    return np.ascontiguousarray(numbers[:, 0]), np.ascontiguousarray(numbers[:, 1])


def _bytes_of(text: str) -> bytes:
    if len(text) == ID_LENGTH and _DIGITS.issuperset(text):
        return bytes.fromhex(text)
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
