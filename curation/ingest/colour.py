"""Any mode and any colour profile to sRGB."""

from __future__ import annotations

import io
from typing import Any

from PIL import Image, ImageCms

from curation.ingest.refusal import Reason, Refused

_SPACES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK", "Lab ": "LAB"}


def to_srgb(image: Image.Image, profile: bytes | None) -> tuple[Image.Image, Image.Image | None]:
    """Return a loaded 8-bit image as mode RGB in sRGB, and its alpha as mode L, or None where it has none.

    Without a profile the numbers are taken as sRGB. Raises Refused with `unreadable_colour_profile` where a profile
    is stated that cannot be applied.
    """
    alpha = None
    if image.has_transparency_data:
        image = image.convert("RGBA")
        alpha = image.getchannel("A")
    if image.mode not in ("L", "CMYK", "LAB"):
        image = image.convert("L" if image.mode == "1" else "RGB")
    if profile is not None:
        image = _apply(image, profile)
    elif image.mode == "LAB":
        image = _transform(image, ImageCms.createProfile("LAB"))
    return image.convert("RGB"), alpha


def _apply(image: Image.Image, data: bytes) -> Image.Image:
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(data))
        space = str(profile.profile.xcolor_space)
    except Exception as error:
        raise Refused(Reason.COLOUR, f"the colour profile of {len(data)} bytes cannot be read: {error}") from None
    mode = _SPACES.get(space)
    if mode == "RGB" and image.mode == "L":
        image = image.convert("RGB")
    if mode == "L" and image.mode == "RGB" and _is_grey(image):
        image = image.getchannel("R")
    if image.mode != mode:
        raise Refused(Reason.COLOUR, f"the colour profile is for {space.strip()}, the image is {image.mode}")
    return _transform(image, profile)


def _is_grey(image: Image.Image) -> bool:
    red, green, blue = image.split()
    return red.tobytes() == green.tobytes() == blue.tobytes()


def _transform(image: Image.Image, profile: Any) -> Image.Image:
    try:
        converted = ImageCms.profileToProfile(
            image,
            profile,
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
    except ImageCms.PyCMSError as error:
        raise Refused(Reason.COLOUR, f"the colour profile cannot be applied: {error}") from None
    if converted is None:
        raise Refused(Reason.COLOUR, "the colour profile cannot be applied")
    return converted
