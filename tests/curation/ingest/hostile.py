"""Broken and hostile files, each with the reason for which ingest must refuse it under the default limits."""

from __future__ import annotations

import io
import os
import random
import struct
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

from PIL import Image, ImageCms, ImageDraw

from curation.ingest.refusal import Reason


def picture(width: int = 48, height: int = 32) -> Image.Image:
    """An image with a gradient, a disc and a diagonal: no two quarters look alike."""
    image = Image.linear_gradient("L").resize((width, height)).convert("RGB")
    draw = ImageDraw.Draw(image)
    draw.ellipse((2, 2, width // 2, height // 2), fill=(220, 40, 30))
    draw.line((0, height, width, 0), fill=(20, 60, 200), width=3)
    return image


def encoded(image: Image.Image, image_format: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, image_format, **options)
    return stream.getvalue()


def png_chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_with(*chunks: bytes, base: bytes | None = None) -> bytes:
    """A PNG with further chunks behind its header."""
    data = base or encoded(picture(), "PNG")
    return data[:33] + b"".join(chunks) + data[33:]


def png_of_size(width: int, height: int, *, pad: int = 0) -> bytes:
    """A PNG whose header states a size, with ten rows of pixels at most, and `pad` bytes of incompressible text."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(bytes(1 + min(width, 100_000)) * min(height, 10))
    noise = random.Random(1).randbytes(pad)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        png_chunk(kind, content)
        for kind, content in ((b"IHDR", header), (b"prVt", noise), (b"IDAT", rows), (b"IEND", b""))
    )


def exif_block(entries: Iterable[tuple[int, int, int, bytes]], *, count: int | None = None) -> bytes:
    """A little-endian EXIF block of (tag, type, number, four bytes of value); `count` may lie about how many."""
    packed = [struct.pack("<HHI", tag, kind, number) + value for tag, kind, number, value in entries]
    stated = len(packed) if count is None else count
    return b"Exif\x00\x00II*\x00\x08\x00\x00\x00" + struct.pack("<H", stated) + b"".join(packed) + bytes(4)


def jpeg_with_segment(marker: int, content: bytes) -> bytes:
    data = encoded(picture(), "JPEG")
    return data[:2] + bytes([0xFF, marker]) + struct.pack(">H", len(content) + 2) + content + data[2:]


def cmyk_profile_stub() -> bytes:
    """A profile for sRGB whose header claims CMYK."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[16:20] = b"CMYK"
    return bytes(profile)


def _flip(data: bytes, position: int) -> bytes:
    return data[:position] + bytes([data[position] ^ 0xFF]) + data[position + 1 :]


def _cut(data: bytes, share: float) -> bytes:
    return data[: int(len(data) * share)]


def _many_scans() -> bytes:
    data = encoded(picture(), "JPEG", progressive=True)
    start = data.rindex(b"\xff\xda")
    scan = data[start:-2]
    return data[:-2] + scan * 600 + data[-2:]


def many_pages(pages: int, entries: int, *, last: int = 0) -> bytes:
    """A TIFF of one page and many smaller copies of it; their directories overlap, and `last` is where they lead."""
    data = bytearray(encoded(picture(), "TIFF"))
    first = int.from_bytes(data[4:8], "little")
    end = first + 2 + 12 * int.from_bytes(data[first : first + 2], "little")
    start = len(data)
    data[end : end + 4] = struct.pack("<I", start)
    # Each directory begins 6 bytes behind the one before; its first bytes are a number of entries, its last a position.
    data += struct.pack("<HI", entries, 0) * pages + bytes(12 * entries + 6)
    for page in range(pages):
        at = start + 6 * page
        following = at + 6 if page + 1 < pages else last
        data[at + 2 + 12 * entries : at + 6 + 12 * entries] = struct.pack("<I", following)
    return bytes(data)


def _gif_of_size(width: int, height: int) -> bytes:
    data = encoded(picture(), "GIF")
    return data[:6] + struct.pack("<HH", width, height) + data[10:]


def _webp_of_size(width: int, height: int) -> bytes:
    data = bytearray(encoded(Image.new("RGBA", (32, 32), (1, 2, 3, 4)), "WEBP", exif=exif_block([])))
    data[24:27] = (width - 1).to_bytes(3, "little")
    data[27:30] = (height - 1).to_bytes(3, "little")
    return bytes(data)


def _jpeg_of_size(width: int, height: int) -> bytes:
    data = encoded(picture(), "JPEG")
    frame = data.index(b"\xff\xc0")
    return data[: frame + 5] + struct.pack(">HH", height, width) + data[frame + 9 :]


def _bmp_of_size(width: int, height: int) -> bytes:
    data = encoded(picture(), "BMP")
    return data[:18] + struct.pack("<ii", width, height) + data[26:]


def _tiff_of_size(width: int, height: int) -> bytes:
    data = bytearray(encoded(picture(), "TIFF"))
    directory = int.from_bytes(data[4:8], "little")
    for entry in range(
        directory + 2, directory + 2 + 12 * int.from_bytes(data[directory : directory + 2], "little"), 12
    ):
        tag = int.from_bytes(data[entry : entry + 2], "little")
        if tag in (256, 257):
            data[entry : entry + 12] = struct.pack("<HHII", tag, 4, 1, width if tag == 256 else height)
    return bytes(data)


def _not_finite() -> bytes:
    image = Image.new("F", (32, 32), 0.5)
    image.putpixel((3, 3), float("nan"))
    return encoded(image, "TIFF")


def _animation(image_format: str) -> bytes:
    frames = [picture(), picture().rotate(90), picture().rotate(180)]
    return encoded(frames[0], image_format, save_all=True, append_images=frames[1:])


_HTML = b"<!DOCTYPE html>\n<html><head><title>404</title></head><body>Not found</body></html>\n"
_SVG = b'<?xml version="1.0"?>\n<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20"></svg>\n'
_EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 64 64\n(touched) (w) file closefile\nshowpage\n"
_PSD = b"8BPS\x00\x01" + bytes(6) + struct.pack(">HIIHH", 3, 32, 32, 8, 3) + bytes(64)
_HEIC = b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic" + bytes(64)
_BOMB_TEXT = b"Comment\x00\x00" + zlib.compress(bytes(8_000_000), 9)
_BOMB_ITXT = b"Comment\x00\x01\x00\x00\x00" + zlib.compress(b"a" * 8_000_000, 9)
_BOMB_PROFILE = b"icc\x00\x00" + zlib.compress(bytes(8_000_000), 9)
_ORIENTATION = 0x0112

_FILES: dict[str, tuple[Reason, Callable[[], bytes]]] = {
    "empty.png": (Reason.EMPTY, lambda: b""),
    "html.png": (Reason.NOT_AN_IMAGE, lambda: _HTML),
    "html.jpg": (Reason.NOT_AN_IMAGE, lambda: b"\n\n<html><body>login</body></html>"),
    "text.png": (Reason.NOT_AN_IMAGE, lambda: b"a pointer to a large file\noid sha256:0\nsize 12\n"),
    "json.webp": (Reason.NOT_AN_IMAGE, lambda: b'{"error": "rate limited"}'),
    "noise.gif": (Reason.NOT_AN_IMAGE, lambda: b"\x07" + random.Random(7).randbytes(4000)),
    "zeros.bmp": (Reason.NOT_AN_IMAGE, lambda: bytes(4096)),
    "zip.png": (Reason.NOT_AN_IMAGE, lambda: b"PK\x03\x04" + bytes(60)),
    "drawing.svg": (Reason.FORMAT_NOT_ALLOWED, lambda: _SVG),
    "svg_named.png": (Reason.FORMAT_NOT_ALLOWED, lambda: _SVG),
    "layers.psd": (Reason.FORMAT_NOT_ALLOWED, lambda: _PSD),
    "program.eps": (Reason.FORMAT_NOT_ALLOWED, lambda: _EPS),
    "eps_named.jpg": (Reason.FORMAT_NOT_ALLOWED, lambda: _EPS),
    "phone.heic": (Reason.FORMAT_NOT_ALLOWED, lambda: _HEIC),
    "cut_early.png": (Reason.TRUNCATED, lambda: encoded(picture(), "PNG")[:20]),
    "cut.png": (Reason.TRUNCATED, lambda: _cut(encoded(picture(), "PNG"), 0.6)),
    "without_end.png": (Reason.TRUNCATED, lambda: encoded(picture(), "PNG")[:-12]),
    "cut_early.jpg": (Reason.TRUNCATED, lambda: encoded(picture(), "JPEG")[:100]),
    "cut.jpg": (Reason.TRUNCATED, lambda: _cut(encoded(picture(200, 200), "JPEG", quality=95), 0.7)),
    "cut.gif": (Reason.TRUNCATED, lambda: _cut(encoded(picture(), "GIF"), 0.9)),
    "cut.webp": (Reason.TRUNCATED, lambda: _cut(encoded(picture(), "WEBP"), 0.6)),
    "cut.bmp": (Reason.TRUNCATED, lambda: _cut(encoded(picture(), "BMP"), 0.6)),
    "cut.tif": (Reason.TRUNCATED, lambda: _cut(encoded(picture(), "TIFF"), 0.6)),
    "second_page_lost.tif": (Reason.TRUNCATED, lambda: many_pages(1, 5, last=0x7FFFFFFF)),
    "cut_lzw.tif": (Reason.TRUNCATED, lambda: _cut(encoded(picture(), "TIFF", compression="tiff_lzw"), 0.6)),
    "pixels_flipped.png": (Reason.CORRUPT, lambda: _flip(encoded(picture(), "PNG"), 60)),
    "checksum.png": (Reason.CORRUPT, lambda: _flip(encoded(picture(), "PNG"), -14)),
    "header_flipped.png": (Reason.CORRUPT, lambda: _flip(encoded(picture(), "PNG"), 25)),
    "bad_deflate.png": (
        Reason.CORRUPT,
        lambda: (
            b"\x89PNG\r\n\x1a\n"
            + png_chunk(b"IHDR", struct.pack(">IIBBBBB", 32, 32, 8, 2, 0, 0, 0))
            + png_chunk(b"IDAT", b"x\x9c" + random.Random(3).randbytes(200))
            + png_chunk(b"IEND", b"")
        ),
    ),
    "payload.webp": (
        Reason.CORRUPT,
        lambda: (data := encoded(picture(), "WEBP", lossless=True))[:30] + b"\xff" * (len(data) - 30),
    ),
    "no_tables.jpg": (Reason.CORRUPT, lambda: b"\xff\xd8\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00\x00\xff\xd9"),
    "not_a_number.tif": (Reason.CORRUPT, _not_finite),
    "bomb.png": (Reason.BOMB, lambda: png_of_size(60_000, 60_000)),
    "bomb.gif": (Reason.BOMB, lambda: _gif_of_size(65_535, 65_535)),
    "bomb.webp": (Reason.BOMB, lambda: _webp_of_size(1 << 24, 256)),
    "bomb.jpg": (Reason.BOMB, lambda: _jpeg_of_size(65_500, 65_500)),
    "bomb.bmp": (Reason.BOMB, lambda: _bmp_of_size(60_000, 60_000)),
    "bomb.tif": (Reason.BOMB, lambda: _tiff_of_size(60_000, 60_000)),
    "bomb_text.png": (Reason.BOMB, lambda: png_with(png_chunk(b"zTXt", _BOMB_TEXT))),
    "bomb_itxt.png": (Reason.BOMB, lambda: png_with(png_chunk(b"iTXt", _BOMB_ITXT))),
    "bomb_profile.png": (Reason.BOMB, lambda: png_with(png_chunk(b"iCCP", _BOMB_PROFILE))),
    "bomb_scans.jpg": (Reason.BOMB, _many_scans),
    "bomb_segments.jpg": (
        Reason.BOMB,
        lambda: b"\xff\xd8" + b"\xff\xe1\x00\x02" * 20_000 + encoded(picture(), "JPEG")[2:],
    ),
    "bomb_chunks.png": (Reason.BOMB, lambda: png_with(png_chunk(b"prVt", b"") * 120_000)),
    "bomb_directories.tif": (Reason.BOMB, lambda: many_pages(900, 6000)),
    "long.png": (Reason.SIDE_TOO_LONG, lambda: encoded(Image.new("L", (17_000, 20), 9), "PNG")),
    "many_pixels.png": (Reason.TOO_MANY_PIXELS, lambda: png_of_size(10_000, 10_000, pad=300_000)),
    "tiny.png": (Reason.SIDE_TOO_SHORT, lambda: encoded(picture(40, 8), "PNG")),
    "tracking_pixel.gif": (Reason.SIDE_TOO_SHORT, lambda: encoded(Image.new("L", (1, 1)), "GIF")),
    "animated.gif": (Reason.ANIMATED, lambda: _animation("GIF")),
    "animated.png": (Reason.ANIMATED, lambda: _animation("PNG")),
    "animated.webp": (Reason.ANIMATED, lambda: _animation("WEBP")),
    "pages.tif": (Reason.ANIMATED, lambda: _animation("TIFF")),
    "exif_noise.jpg": (Reason.METADATA, lambda: jpeg_with_segment(0xE1, b"Exif\x00\x00" + b"\xee" * 60)),
    "exif_cut.jpg": (Reason.METADATA, lambda: jpeg_with_segment(0xE1, exif_block([], count=40))),
    "exif_far.jpg": (Reason.METADATA, lambda: jpeg_with_segment(0xE1, b"Exif\x00\x00II*\x00\xff\xff\x00\x00")),
    "orientation_9.jpg": (
        Reason.METADATA,
        lambda: jpeg_with_segment(0xE1, exif_block([(_ORIENTATION, 3, 1, b"\x09\x00\x00\x00")])),
    ),
    "orientation_text.png": (
        Reason.METADATA,
        lambda: png_with(png_chunk(b"eXIf", exif_block([(_ORIENTATION, 2, 4, b"up\x00\x00")])[6:])),
    ),
    "orientation_9.tif": (Reason.METADATA, lambda: encoded(picture(), "TIFF", tiffinfo={_ORIENTATION: 9})),
    "exif_noise.webp": (Reason.METADATA, lambda: encoded(picture(), "WEBP", exif=b"Exif\x00\x00" + b"\xee" * 60)),
    "profile_noise.jpg": (Reason.COLOUR, lambda: encoded(picture(), "JPEG", icc_profile=b"\xab" * 400)),
    "profile_deflate.png": (Reason.COLOUR, lambda: png_with(png_chunk(b"iCCP", b"icc\x00\x00" + b"\xab" * 60))),
    "profile_other.tif": (Reason.COLOUR, lambda: encoded(picture(), "TIFF", icc_profile=cmyk_profile_stub())),
}


def hostile_bytes() -> dict[str, tuple[Reason, bytes]]:
    """Return the content of every hostile file by name, with its expected reason."""
    return {name: (reason, build()) for name, (reason, build) in _FILES.items()}


def write_hostile(folder: Path) -> dict[str, Reason]:
    """Write all hostile files into a folder and return the reason expected of each, by file name.

    Beside files with hostile content there are a FIFO, a symbolic link out of the folder and one to nowhere. All
    names have extensions that a folder source lists by default.
    """
    expected = {}
    for name, (reason, data) in hostile_bytes().items():
        (folder / name).write_bytes(data)
        expected[name] = reason
    os.mkfifo(folder / "fifo.png")
    outside = folder.resolve().parent / "outside_of_the_folder.png"
    outside.write_bytes(encoded(picture(), "PNG"))
    (folder / "link_out.png").symlink_to(outside)
    (folder / "link_nowhere.png").symlink_to(folder / "there_is_no_such_file.png")
    expected["fifo.png"] = Reason.NOT_A_FILE
    expected["link_out.png"] = Reason.UNSAFE_PATH
    expected["link_nowhere.png"] = Reason.MISSING
    return expected
