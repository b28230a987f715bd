"""What a file is, by its first bytes."""

from __future__ import annotations

from curation.ingest.refusal import Reason, Refused

_SUPPORTED: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"\xff\xd8\xff", "JPEG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"BM", "BMP"),
    (b"II*\x00", "TIFF"),
    (b"MM\x00*", "TIFF"),
    (b"II+\x00", "TIFF"),
    (b"MM\x00+", "TIFF"),
)
_FOREIGN: tuple[tuple[bytes, str], ...] = (
    (b"8BPS", "PSD"),
    (b"%!PS", "EPS"),
    (b"\xc5\xd0\xd3\xc6", "EPS"),
    (b"%PDF", "PDF"),
    (b"\x00\x00\x01\x00", "ICO"),
    (b"icns", "ICNS"),
    (b"\x00\x00\x00\x0cjP  ", "JPEG 2000"),
    (b"\xff\x4f\xff\x51", "JPEG 2000"),
    (b"\x00\x00\x00\x0cJXL ", "JPEG XL"),
    (b"\xff\x0a", "JPEG XL"),
    (b"qoif", "QOI"),
    (b"DDS ", "DDS"),
    (b"v/1\x01", "OpenEXR"),
    (b"#?RADIANCE", "Radiance HDR"),
    (b"gimp xcf", "XCF"),
    (b"\xd7\xcd\xc6\x9a", "WMF"),
    (b"\x0a\x05\x01\x08", "PCX"),
)
_BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"mif1": "HEIF", b"crx ": "CR3"}
_MARKUP_WINDOW = 4096


def signature(data: bytes) -> str:
    """Return the format of an encoded image: PNG, JPEG, WEBP, GIF, BMP, TIFF, or the name of one not supported.

    Raises Refused with `not_an_image` where the bytes are no image at all.
    """
    for magic, name in _SUPPORTED:
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    for magic, name in _FOREIGN:
        if data.startswith(magic):
            return name
    if data[4:8] == b"ftyp":
        return _BRANDS.get(data[8:12], "ISO media")
    if data[:1] == b"P" and data[1:2] in b"1234567" and data[2:3].isspace():
        return "Netpbm"
    window = data[:_MARKUP_WINDOW].lower()
    if b"<html" in window or b"<!doctype html" in window:
        raise Refused(Reason.NOT_AN_IMAGE, "the file is an HTML page, probably an error page saved under this name")
    if b"<svg" in window:
        return "SVG"
    raise Refused(Reason.NOT_AN_IMAGE, f"the file does not start as any known image does: {data[:12]!r}")
