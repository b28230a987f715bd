"""Decoding under limits: any bytes in, sRGB pixels or a reason out."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Plugins register themselves on import; with these six here, opening an image never makes Pillow load the others.
from PIL import (
    BmpImagePlugin,  # noqa: F401
    GifImagePlugin,  # noqa: F401
    Image,
    JpegImagePlugin,  # noqa: F401
    MpoImagePlugin,  # noqa: F401
    PngImagePlugin,  # noqa: F401
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,  # noqa: F401
)

from curation.ingest.colour import to_srgb
from curation.ingest.depth import is_deep, scale_transparent_value, to_eight_bits
from curation.ingest.header import stated_size
from curation.ingest.jpeg_segments import check_jpeg
from curation.ingest.limits import Limits
from curation.ingest.orientation import UPRIGHT, read_orientation, tiff_orientation, turn_upright
from curation.ingest.png_chunks import check_png
from curation.ingest.refusal import Reason, Refused
from curation.ingest.signature import signature
from curation.ingest.tiff_directories import count_pages
from curation.ingest.tiff_extent import is_cut_tiff

_MAX_PIXELS_PER_BYTE = 500
_ANIMATED_FORMATS = ("GIF", "PNG", "WEBP")  # the further pictures of a JPEG are its previews and depth maps, not frames


@dataclass(frozen=True, eq=False)
class Decoded:
    """A decoded image, upright and in sRGB."""

    pixels: NDArray[np.uint8]
    """Colours [H, W, 3], composited over the background of the limits."""
    alpha: NDArray[np.uint8] | None
    """Opacity [H, W], 255 for opaque; None where the whole image is opaque."""
    format: str
    """Format of the file: PNG, JPEG, WEBP, GIF, BMP or TIFF."""
    sha256: str
    """Digest of the encoded bytes, in hexadecimal."""
    frames: int
    """Frames or pages in the file, at least 1, pages counted up to 1000; the first of them was decoded."""
    turned: bool
    """Whether the stored pixels lay on a side, upside down or mirrored, and were set upright as the file says."""


def decode(data: bytes, limits: Limits) -> Decoded:
    """Decode an image, or refuse it.

    Sizes are checked on the header, before any pixel is decoded. The result is turned upright by EXIF orientation,
    converted from its colour profile to sRGB, reduced to 8 bits, and composited over the background. Raises Refused,
    and nothing else, whatever the bytes are. Touches no global state of Pillow's, and may be called from threads.
    """
    if not data:
        raise Refused(Reason.EMPTY, "the file has no bytes")
    if len(data) > limits.max_bytes:
        raise Refused(Reason.TOO_MANY_BYTES, f"the file has {len(data)} bytes, max_bytes is {limits.max_bytes}")
    image_format = signature(data)
    if image_format not in limits.formats:
        raise Refused(Reason.FORMAT_NOT_ALLOWED, f"the file is {image_format}; let in: {', '.join(limits.formats)}")
    if image_format == "JPEG":
        check_jpeg(data)
    size = stated_size(data, image_format)
    if size is not None:
        _check_size(size, len(data), limits)
    if image_format == "PNG":
        check_png(data)
    try:
        return _decode(data, image_format, limits)
    except Refused:
        raise
    except (Image.DecompressionBombError, MemoryError) as error:
        raise Refused(Reason.BOMB, f"decoding would take too much memory: {error}") from None
    except Exception as error:  # Pillow raises whatever its C libraries and parsers run into
        raise _verdict(error, data, image_format) from None


def _decode(data: bytes, image_format: str, limits: Limits) -> Decoded:
    pages = count_pages(data) if image_format == "TIFF" else 1
    with Image.open(io.BytesIO(data), formats=[image_format]) as image:
        _check_size(image.size, len(data), limits)
        frames = max(1, int(getattr(image, "n_frames", 1))) if image_format in _ANIMATED_FORMATS else pages
        if frames > 1 and not limits.allow_animation:
            raise Refused(Reason.ANIMATED, f"the file has {frames} frames or pages; allow_animation takes the first")
        turned_on_load = isinstance(image, TiffImagePlugin.TiffImageFile) and tiff_orientation(image) != UPRIGHT
        image.load()
        _check_size(image.size, len(data), limits)
        if image_format == "PNG":
            scale_transparent_value(image, bits=data[24])
        orientation = UPRIGHT  # Pillow turns TIFF by itself, on load
        if image_format != "TIFF" and "exif" in image.info:
            orientation = read_orientation(image.info["exif"])
        rgb, alpha = to_srgb(to_eight_bits(image) if is_deep(image) else image, _profile(image))
    if alpha is not None and alpha.getextrema() == (255, 255):
        alpha = None
    if alpha is not None:
        backdrop = Image.new("RGB", rgb.size, limits.background_rgb)
        backdrop.paste(rgb, mask=alpha)
        rgb = backdrop
    return Decoded(
        pixels=turn_upright(np.asarray(rgb), orientation),
        alpha=None if alpha is None else turn_upright(np.asarray(alpha), orientation),
        format=image_format,
        sha256=hashlib.sha256(data).hexdigest(),
        frames=frames,
        turned=turned_on_load or orientation != UPRIGHT,
    )


def _check_size(size: tuple[int, int], file_bytes: int, limits: Limits) -> None:
    width, height = size
    stated = f"the image states {width} x {height} pixels"
    if width * height > max(limits.max_pixels, _MAX_PIXELS_PER_BYTE * file_bytes):
        raise Refused(Reason.BOMB, f"{stated} in a file of {file_bytes} bytes")
    if max(size) > limits.max_side:
        raise Refused(Reason.SIDE_TOO_LONG, f"{stated}, max_side is {limits.max_side}")
    if width * height > limits.max_pixels:
        raise Refused(Reason.TOO_MANY_PIXELS, f"{stated}, max_pixels is {limits.max_pixels}")
    if min(size) < limits.min_side:
        raise Refused(Reason.SIDE_TOO_SHORT, f"{stated}, min_side is {limits.min_side}")


def _profile(image: Image.Image) -> bytes | None:
    if "icc_profile" not in image.info:
        return None
    profile = image.info["icc_profile"]
    if not isinstance(profile, bytes):
        raise Refused(Reason.COLOUR, "the colour profile cannot be decompressed")
    return profile or None


def _verdict(error: Exception, data: bytes, image_format: str) -> Refused:
    detail = f"{image_format}: {type(error).__name__}: {error}"
    if isinstance(error, UnidentifiedImageError):  # its message is a memory address
        detail = f"the {image_format} header cannot be read"
    message = str(error).lower()
    if "decompressed data too large" in message or "too much memory used in text" in message:
        return Refused(Reason.BOMB, detail)
    if "truncated" in message or "not enough image data" in message or _is_cut(data, image_format):
        return Refused(Reason.TRUNCATED, detail)
    return Refused(Reason.CORRUPT, detail)


def _is_cut(data: bytes, image_format: str) -> bool:
    """Return whether a file that could not be decoded ends before its own end mark or stated length."""
    if image_format == "JPEG":
        return b"\xff\xd9" not in data[-64:]
    if image_format == "GIF":
        return not data.rstrip(b"\x00").endswith(b";")
    if image_format == "WEBP":
        return int.from_bytes(data[4:8], "little") + 8 > len(data)
    if image_format == "TIFF":
        return is_cut_tiff(data)
    return False
