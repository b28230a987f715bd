"""Grey images of more than 8 bits, scaled to 8."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from curation.ingest.refusal import Reason, Refused

_BITS = 258
_PHOTOMETRIC = 262
_SAMPLE_FORMAT = 339
_UNSIGNED = 1
_WHITE_IS_ZERO = 0
_SHORT_MAX = 65535
_STRIP = 256


def is_deep(image: Image.Image) -> bool:
    """Return whether an image has one channel of more than 8 bits."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def to_eight_bits(image: Image.Image) -> Image.Image:
    """Return a deep grey image as mode L, or LA where it names a transparent value.

    Unsigned samples are scaled by the range of their type, so that full scale is white. 32-bit integers and floats
    state no white, hence: whole numbers within 0..65535 are scaled by that, floats within 0..1 by that, and all
    others from their own least to their own greatest value. Raises Refused with `corrupt` where a sample is infinite
    or not a number.
    """
    tags = getattr(image, "tag_v2", {})
    values = np.asarray(image)
    if image.mode.startswith("I;16"):
        low, high = 0.0, float(2 ** min(16, int(tags.get(_BITS, (16,))[0])) - 1)
    else:
        if image.mode == "I" and tags.get(_BITS) == (32,) and tags.get(_SAMPLE_FORMAT, (1,))[0] == _UNSIGNED:
            values = values.view(np.uint32)
        low, high = _range(values, float(_SHORT_MAX) if image.mode == "I" else 1.0)
    grey = _scaled(values, low, high)
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        grey = 255 - grey
    scaled = Image.fromarray(grey)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        scaled.putalpha(Image.fromarray(np.where(values == transparent, 0, 255).astype(np.uint8)))
    return scaled


def scale_transparent_value(image: Image.Image, *, bits: int) -> None:
    """Bring the transparent value of a PNG of `bits` a sample to the 8 bits that its samples have once loaded.

    Pillow scales the samples and leaves the value as it was stored.
    """
    value = image.info.get("transparency")
    if image.mode == "L" and bits in (2, 4) and isinstance(value, int):
        image.info["transparency"] = value * 255 // (2**bits - 1)
    if image.mode == "RGB" and bits == 16 and isinstance(value, tuple):
        image.info["transparency"] = tuple(sample >> 8 for sample in value)


def _scaled(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Return values [H, W] scaled so that `low` is 0 and `high` is 255, a strip at a time to hold few floats."""
    grey = np.empty(values.shape, np.uint8)
    for top in range(0, len(values), _STRIP):
        strip = (values[top : top + _STRIP].astype(np.float64) - low) / (high - low) * 255
        grey[top : top + _STRIP] = np.clip(strip, 0, 255).round()
    return grey


def _range(values: NDArray[Any], white: float) -> tuple[float, float]:
    with np.errstate(invalid="ignore"):  # what is not a number is refused below, not warned of
        least, greatest = float(values.min()), float(values.max())
    if not (math.isfinite(least) and math.isfinite(greatest)):
        raise Refused(Reason.CORRUPT, "samples of the image are infinite or not a number")
    if (least >= 0 and greatest <= white) or least == greatest:
        return 0.0, white
    return least, greatest
