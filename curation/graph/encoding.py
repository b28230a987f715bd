"""Encoding images as they are stored, and decoding our own encodings."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

EXTENSIONS = {"webp": "webp", "png": "png", "jpeg": "jpg"}
_WEBP_EFFORT = 2
_JPEG_QUALITY = 95


def encode(pixels: NDArray[np.uint8], kind: str) -> bytes:
    """Return an image encoded as lossless WebP, PNG or JPEG (quality 95, no chroma subsampling)."""
    buffer = io.BytesIO()
    image = Image.fromarray(pixels)
    if kind == "webp":
        image.save(buffer, "WEBP", lossless=True, quality=_WEBP_EFFORT * 10, method=_WEBP_EFFORT)
    elif kind == "png":
        image.save(buffer, "PNG", compress_level=6)
    else:
        image.save(buffer, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return buffer.getvalue()


def decode_stored(data: bytes) -> NDArray[np.uint8]:
    """Return the pixels `[height, width, 3]` of an image that `encode` made."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
