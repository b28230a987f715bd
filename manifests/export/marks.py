"""The mark of synthetic media: IPTC's digital source type as an XMP packet, put into an image without touching a pixel.

IPTC Photo Metadata Standard 2023.1, property `Iptc4xmpExt:DigitalSourceType`; XMP in PNG, JPEG and WebP after the XMP
Specification Part 3 (Adobe, 2020).
"""

from __future__ import annotations

import io
import struct
import zlib
from typing import Literal

SourceType = Literal["trainedAlgorithmicMedia", "compositeSynthetic", "algorithmicallyEnhanced"]

_PREFIX = "http://cv.iptc.org/newscodes/digitalsourcetype/"
_XMP_JPEG = b"http://ns.adobe.com/xap/1.0/\x00"
_PNG, _JPEG = b"\x89PNG\r\n\x1a\n", b"\xff\xd8"
_XMP_FLAG, _ALPHA_FLAG = 0x04, 0x10


class UnmarkableError(ValueError):
    """The image is of a form that cannot be marked."""


def source_type(source: str, treatment: str | None) -> SourceType | None:
    """Return what an image is by IPTC's terms: drawn by a model, painted by an algorithm, or neither."""
    if source == "generated":
        return "trainedAlgorithmicMedia"
    return "algorithmicallyEnhanced" if treatment not in (None, "none") else None


def marked(data: bytes, kind: SourceType) -> bytes:
    """Return an image with its digital source type. Raises UnmarkableError on what is no WebP, PNG or JPEG."""
    packet = _packet(kind)
    if data.startswith(_PNG):
        return _png(data, packet)
    if data.startswith(_JPEG):
        segment = _XMP_JPEG + packet
        return data[:2] + b"\xff\xe1" + struct.pack(">H", len(segment) + 2) + segment + data[2:]
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data, packet)
    raise UnmarkableError("only WebP, PNG and JPEG can be marked")


def _packet(kind: SourceType) -> bytes:
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>'
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
        f'Iptc4xmpExt:DigitalSourceType="{_PREFIX}{kind}"/>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def _png(data: bytes, packet: bytes) -> bytes:
    """Put an `iTXt` chunk right behind the header, which is always 13 bytes long."""
    body = b"iTXtXML:com.adobe.xmp\x00\x00\x00\x00\x00" + packet
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    end = len(_PNG) + 12 + 13
    return data[:end] + chunk + data[end:]


def _webp(data: bytes, packet: bytes) -> bytes:
    """Append an `XMP ` chunk, in the extended form, which a plain image is brought into first."""
    chunks = data[12:]
    if chunks[:4] == b"VP8X":
        flags = bytes([chunks[8] | _XMP_FLAG])
        chunks = chunks[:8] + flags + chunks[9:]
    else:
        chunks = _extended_header(data) + chunks
    chunks += b"\x00" * (len(chunks) % 2) + b"XMP " + struct.pack("<I", len(packet)) + packet
    chunks += b"\x00" * (len(chunks) % 2)
    return b"RIFF" + struct.pack("<I", len(chunks) + 4) + b"WEBP" + chunks


def _extended_header(data: bytes) -> bytes:
    from PIL import Image

    with Image.open(io.BytesIO(data)) as image:
        (width, height), alpha = image.size, image.mode == "RGBA"
    flags = _XMP_FLAG | (_ALPHA_FLAG if alpha else 0)
    size = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    return b"VP8X" + struct.pack("<I", 10) + bytes([flags, 0, 0, 0]) + size
