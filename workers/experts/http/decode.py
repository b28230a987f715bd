"""Images that a stranger sent: decoded within limits, or refused."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from workers.experts.base import ExpertFailure, Pixels

FORMATS = ("PNG", "JPEG", "WEBP")


def decode_answer(data: bytes, *, max_side: int) -> Pixels | ExpertFailure:
    """Return an image's pixels, on white where it is transparent, or why it is refused.

    Only PNG, JPEG and WebP are opened, and no pixel is decoded before the header says that there are not too many.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            if max(image.size) > max_side:
                return ExpertFailure("too_large", f"the image has {image.size[0]} x {image.size[1]} pixels")
            image.load()
            return _flattened(image)
    except Image.DecompressionBombError as error:
        return ExpertFailure("too_large", str(error))
    except Exception as error:  # decoders raise of many kinds on broken files
        return ExpertFailure("not_an_image", f"{len(data)} bytes: {str(error)[:200] or type(error).__name__}")


def _flattened(image: Image.Image) -> Pixels:
    if image.has_transparency_data:
        over = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    return np.asarray(image.convert("RGB"))
