"""Columns of hexadecimal text as bytes, without a Python object for each."""

from __future__ import annotations

import binascii

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]


def bytes_of(column: pa.ChunkedArray) -> Bytes:
    """Return the bytes `[rows, bytes]` of a column of hexadecimal text without nulls.

    Raises ValueError where it is not hexadecimal, or not all of one length.
    """
    if not len(column):
        return np.zeros((0, 1), np.uint8)
    text = pa.concat_arrays(column.chunks).cast(pa.large_string())
    ends = np.frombuffer(text.buffers()[1], np.int64)[text.offset : text.offset + len(text) + 1]
    if np.unique(np.diff(ends)).size > 1:
        raise ValueError("hexadecimal numbers of several lengths")
    raw = np.frombuffer(binascii.unhexlify(memoryview(text.buffers()[2])[ends[0] : ends[-1]]), np.uint8)
    return raw.reshape(len(text), -1)
