"""The directories of a TIFF or BigTIFF file, walked without decoding what they describe."""

from __future__ import annotations

from typing import Literal

from curation.ingest.refusal import Reason, Refused

_SUBFILE_TYPE = 254
_REDUCED_COPY = 1
_SHORT = 3
_MAX_PAGES = 1000
_MAX_ENTRIES = 100_000


class TiffDirectories:
    """Where the directories of a TIFF file lie, and what numbers they hold; positions are bytes of the file."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.byte_order: Literal["little", "big"] = "little" if data[:2] == b"II" else "big"
        big = data[2:4] in (b"+\x00", b"\x00+")
        self.word, self._count_bytes, self._entry_bytes = (8, 8, 20) if big else (4, 2, 12)
        self.first = self.integer(8 if big else 4, self.word)

    def integer(self, position: int, width: int) -> int:
        """Return the unsigned number of `width` bytes at a position; what lies beyond the file counts as absent."""
        return int.from_bytes(self.data[position : position + width], self.byte_order)

    def entries(self, directory: int) -> range | None:
        """Return the positions of a directory's entries, or None where it does not end inside the file."""
        start = directory + self._count_bytes
        stop = start + self.integer(directory, self._count_bytes) * self._entry_bytes
        return None if max(start, stop) > len(self.data) else range(start, stop, self._entry_bytes)

    def after(self, entries: range) -> int:
        """Return the position of the directory that follows the one with these entries, 0 where it is the last."""
        return self.integer(entries.stop, self.word)


def count_pages(data: bytes) -> int:
    """Return the number of pages, 1 to 1000; smaller copies of a page do not count.

    Raises Refused with `truncated` where a directory lies beyond the file, and with `decompression_bomb` where the
    directories have so many entries that reading them would take minutes: they may overlap, and small files hold many.
    """
    tiff = TiffDirectories(data)
    directory, pages, left = tiff.first, 0, _MAX_ENTRIES
    seen: set[int] = set()
    while directory and directory not in seen and pages < _MAX_PAGES:
        entries = tiff.entries(directory)
        if entries is None:
            raise Refused(Reason.TRUNCATED, f"the TIFF directory at byte {directory} lies beyond the end of the file")
        left -= len(entries) + 1
        if left < 0:
            raise Refused(Reason.BOMB, f"the TIFF directories have more than {_MAX_ENTRIES} entries")
        pages += not seen or not _is_reduced_copy(tiff, entries)
        seen.add(directory)
        directory = tiff.after(entries)
    return max(1, pages)


def _is_reduced_copy(tiff: TiffDirectories, entries: range) -> bool:
    for entry in entries:
        if tiff.integer(entry, 2) == _SUBFILE_TYPE:
            width = 2 if tiff.integer(entry + 2, 2) == _SHORT else 4
            return bool(tiff.integer(entry + 4 + tiff.word, width) & _REDUCED_COPY)
    return False
