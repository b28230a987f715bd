"""Whether a TIFF file has been cut short."""

from __future__ import annotations

from curation.ingest.tiff_directories import TiffDirectories

_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_OFFSETS_AND_LENGTHS = ((273, 279), (324, 325))
_PART_TAGS = {tag for pair in _OFFSETS_AND_LENGTHS for tag in pair}
_MAX_PARTS = 65536


def is_cut_tiff(data: bytes) -> bool:
    """Return whether the first directory of a TIFF or BigTIFF file points beyond the end of the file."""
    tiff = TiffDirectories(data)
    entries = tiff.entries(tiff.first)
    if entries is None:
        return True
    parts: dict[int, list[int]] = {}
    for entry in entries:
        width = _TYPE_BYTES.get(tiff.integer(entry + 2, 2), 1)
        count = tiff.integer(entry + 4, tiff.word)
        position = entry + 4 + tiff.word
        if count * width > tiff.word:
            position = tiff.integer(position, tiff.word)
        if position + count * width > len(data):
            return True
        tag = tiff.integer(entry, 2)
        if tag in _PART_TAGS and count <= _MAX_PARTS:
            parts[tag] = [tiff.integer(position + index * width, width) for index in range(count)]
    return any(
        offset + length > len(data)
        for offsets, lengths in _OFFSETS_AND_LENGTHS
        for offset, length in zip(parts.get(offsets, []), parts.get(lengths, []), strict=False)
    )
