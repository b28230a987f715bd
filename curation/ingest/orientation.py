"""The EXIF orientation of an image: reading it strictly, and turning pixels by it."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL.TiffImagePlugin import TiffImageFile

from curation.ingest.refusal import Reason, Refused

UPRIGHT = 1

_PREFIX = b"Exif\x00\x00"
_TAG = 0x0112
_INTEGER_BYTES = {1: 1, 3: 2, 4: 4}
_ENTRY_BYTES = 12


def read_orientation(exif: bytes) -> int:
    """Return the orientation, 1 to 8, that an EXIF block states; 1 where it states none.

    Only the first directory is read, which is where orientation belongs: makers' notes are broken in many good
    photographs. Raises Refused with `unreadable_metadata` where that directory cannot be read, since an image whose
    orientation is unknown may lie on its side.
    """
    block = exif.removeprefix(_PREFIX)
    byte_order: Literal["little", "big"] = "little" if block[:2] == b"II" else "big"
    if block[:2] not in (b"II", b"MM") or int.from_bytes(block[2:4], byte_order) != 42:
        raise Refused(Reason.METADATA, "the EXIF block has no valid header")
    start = int.from_bytes(block[4:8], byte_order)
    if len(block) < 8 or start < 8 or start + 2 > len(block):
        raise Refused(Reason.METADATA, "the EXIF block ends before its directory")
    count = int.from_bytes(block[start : start + 2], byte_order)
    if start + 2 + count * _ENTRY_BYTES > len(block):
        raise Refused(Reason.METADATA, f"the EXIF directory states {count} entries and ends before the last")
    for position in range(start + 2, start + 2 + count * _ENTRY_BYTES, _ENTRY_BYTES):
        entry = block[position : position + _ENTRY_BYTES]
        if int.from_bytes(entry[:2], byte_order) == _TAG:
            return _value(entry, byte_order)
    return UPRIGHT


def _value(entry: bytes, byte_order: Literal["little", "big"]) -> int:
    width = _INTEGER_BYTES.get(int.from_bytes(entry[2:4], byte_order))
    if width is None or int.from_bytes(entry[4:8], byte_order) != 1:
        raise Refused(Reason.METADATA, "the EXIF orientation is not a single whole number")
    return _checked(int.from_bytes(entry[8 : 8 + width], byte_order))


def tiff_orientation(image: TiffImageFile) -> int:
    """Return the orientation, 1 to 8, that a TIFF file states, before it is loaded; 1 where it states none.

    Raises Refused with `unreadable_metadata` where it is none of these.
    """
    value = image.tag_v2.get(_TAG, UPRIGHT)
    if not isinstance(value, int):
        raise Refused(Reason.METADATA, "the TIFF orientation is not a single whole number")
    return _checked(value)


def _checked(value: int) -> int:
    if not 0 <= value <= 8:
        raise Refused(Reason.METADATA, f"the orientation is {value}; there are only 1 to 8")
    return value or UPRIGHT  # some cameras write 0 for "not known"


def turn_upright(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Return pixels [H, W, ...] turned and mirrored so that an image stored with this orientation (1 to 8) is upright.

    Orientations 5 to 8 swap height and width.
    """
    if orientation >= 5:
        pixels = pixels.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    return np.ascontiguousarray(pixels)
