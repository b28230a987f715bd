"""The segments of a JPEG file, walked without decoding them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from curation.ingest.refusal import Reason, Refused

_START_OF_IMAGE = 0xD8
_END_OF_IMAGE = 0xD9
_START_OF_SCAN = 0xDA
_NOT_FRAMES = {0xC4, 0xC8, 0xCC}
_MARKER = re.compile(rb"\xff[\x02-\xcf\xd8-\xfe]")  # neither stuffing nor the bare markers that lie inside a scan
_MAX_SEGMENTS = 10_000
_MAX_SCANS = 100


class Segment(NamedTuple):
    """A segment: its marker, and the position of the first byte after its length."""

    marker: int
    start: int


def check_jpeg(data: bytes) -> None:
    """Refuse, as `decompression_bomb`, a file with more segments or scans than any encoder writes.

    Each scan is a pass over all pixels, and each segment costs a decoder far more memory than its bytes. What follows
    the end of the image (the video of a motion photo, say) is not looked at.
    """
    scans = 0
    for number, segment in enumerate(segments(data), start=1):
        scans += segment.marker == _START_OF_SCAN
        if scans > _MAX_SCANS:
            raise Refused(Reason.BOMB, f"the JPEG file has more than {_MAX_SCANS} scans over the same pixels")
        if number > _MAX_SEGMENTS:
            raise Refused(Reason.BOMB, f"the JPEG file has more than {_MAX_SEGMENTS} segments")


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """Return width and height as the first frame header states them, or None where there is none before the pixels."""
    for marker, start in segments(data):
        if marker == _START_OF_SCAN:
            return None
        if 0xC0 <= marker <= 0xCF and marker not in _NOT_FRAMES:
            frame = data[start : start + 5]
            return (int.from_bytes(frame[3:5], "big"), int.from_bytes(frame[1:3], "big")) if len(frame) == 5 else None
    return None


def segments(data: bytes) -> Iterator[Segment]:
    """Yield the segments up to the end of the image, stepping over pixels and stray bytes as decoders do."""
    position = 2
    while (found := _MARKER.search(data, position)) is not None:
        marker = data[found.start() + 1]
        position = found.end()
        if marker == _END_OF_IMAGE:
            return
        if marker != _START_OF_IMAGE:
            yield Segment(marker, position + 2)
            position += max(2, int.from_bytes(data[position : position + 2], "big"))
