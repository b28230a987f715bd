"""Whether a TIFF file has been cut short."""

from __future__ import annotations

from typing import Literal

_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_OFFSETS_AND_LENGTHS = ((273, 279), (324, 325))
_PART_TAGS = {tag for pair in _OFFSETS_AND_LENGTHS for tag in pair}
_MAX_PARTS = 65536


def is_cut_tiff(data: bytes) -> bool:
    """Return whether the first directory of a TIFF or BigTIFF file points beyond the end of the file."""
    byte_order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
    big = data[2:4] in (b"+\x00", b"\x00+")
    word, count_bytes, entry_bytes = (8, 8, 20) if big else (4, 2, 12)

    def integer(position: int, width: int) -> int:
        return int.from_bytes(data[position : position + width], byte_order)

    directory = integer(8 if big else 4, word)
    first = directory + count_bytes
    if first > len(data):
        return True
    last = first + integer(directory, count_bytes) * entry_bytes
    if last > len(data):
        return True
    parts: dict[int, list[int]] = {}
    for entry in range(first, last, entry_bytes):
        width = _TYPE_BYTES.get(integer(entry + 2, 2), 1)
        count = integer(entry + 4, word)
        position = entry + 4 + word
        if count * width > word:
            position = integer(position, word)
        if position + count * width > len(data):
            return True
        tag = integer(entry, 2)
        if tag in _PART_TAGS and count <= _MAX_PARTS:
            parts[tag] = [integer(position + index * width, width) for index in range(count)]
    return any(
        offset + length > len(data)
        for offsets, lengths in _OFFSETS_AND_LENGTHS
        for offset, length in zip(parts.get(offsets, []), parts.get(lengths, []), strict=False)
    )
