"""The three images of a triplet as a judge is shown them."""

from __future__ import annotations

import base64
import io

from PIL import Image

from workers.experts.base import Pixels
from workers.judges.base import JudgeRequest

LABELS: tuple[str, ...] = ("TARGET", "STYLE", "CONTENT")
"""What each image is called, in the order in which they are shown."""


def pictures(request: JudgeRequest, side: int) -> list[Image.Image]:
    """Return target, style and content, no side longer than `side` pixels."""
    return [_within(pixels, side) for pixels in (request.target, request.style, request.content)]


def data_uri(picture: Image.Image, kind: str) -> str:
    """Return an image as a data URI, PNG or JPEG (quality 95)."""
    buffer = io.BytesIO()
    picture.save(buffer, kind.upper(), **({"quality": 95} if kind == "jpeg" else {}))
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _within(pixels: Pixels, side: int) -> Image.Image:
    picture = Image.fromarray(pixels)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return picture
