"""The size an image states, read from its header without a decoder."""

from __future__ import annotations

_START_OF_SCAN = 0xDA
_END_OF_IMAGE = 0xD9
_NOT_FRAMES = {0xC4, 0xC8, 0xCC}
_BARE_MARKERS = {0x01, *range(0xD0, 0xD9)}


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
        return _jpeg_size(data)
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


def _jpeg_size(data: bytes) -> tuple[int, int] | None:
    position = 2
    while position + 9 <= len(data):
        if data[position] != 0xFF:
            return None
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
        elif marker in _BARE_MARKERS:
            position += 2
        elif marker in (_START_OF_SCAN, _END_OF_IMAGE):
            return None
        elif 0xC0 <= marker <= 0xCF and marker not in _NOT_FRAMES:
            height, width = data[position + 5 : position + 7], data[position + 7 : position + 9]
            return int.from_bytes(width, "big"), int.from_bytes(height, "big")
        else:
            position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
    return None
