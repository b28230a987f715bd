"""The size an image states, read from its header without a decoder."""

from __future__ import annotations

from curation.ingest.jpeg_segments import jpeg_size


def stated_size(data: bytes, image_format: str) -> tuple[int, int] | None:
    """Return width and height in pixels as the header states them, or None where it takes a decoder to tell.

    None is also the answer for a damaged header; the decoder then says what is wrong.
    """
    if image_format == "PNG" and len(data) >= 24:
        return int.from_bytes(data[16:20], "big"), int.from_bytes(data[20:24], "big")
    if image_format == "GIF" and len(data) >= 10:
        return int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
    if image_format == "BMP" and len(data) >= 26:
        return _bmp_size(data)
    if image_format == "WEBP" and len(data) >= 30:
        return _webp_size(data)
    if image_format == "JPEG":
        return jpeg_size(data)
    return None


def _bmp_size(data: bytes) -> tuple[int, int]:
    if int.from_bytes(data[14:18], "little") == 12:
        return int.from_bytes(data[18:20], "little"), int.from_bytes(data[20:22], "little")
    width = int.from_bytes(data[18:22], "little", signed=True)
    return abs(width), abs(int.from_bytes(data[22:26], "little", signed=True))


def _webp_size(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[24:27], "little") + 1, int.from_bytes(data[27:30], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    if kind == b"VP8 ":
        return int.from_bytes(data[26:28], "little") & 0x3FFF, int.from_bytes(data[28:30], "little") & 0x3FFF
    return None
