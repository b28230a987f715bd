"""Which files count as images by their names."""

from __future__ import annotations

from typing import Any

IMAGE_EXTENSIONS = (
    *(".png", ".apng", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".gif", ".bmp", ".dib", ".tif", ".tiff"),
    *(".avif", ".heic", ".heif", ".jp2", ".jxl", ".ico", ".svg", ".psd", ".eps", ".tga", ".ppm", ".pgm", ".pbm"),
)
"""Extensions of image files. Formats that ingest refuses are among them, so that the manifest says they are there."""


def with_dots(extensions: Any) -> Any:
    """Return extensions in lower case with a leading dot, as a tuple; anything but a list of strings as it is."""
    if not isinstance(extensions, list | tuple) or not all(isinstance(extension, str) for extension in extensions):
        return extensions
    return tuple(f".{extension.lower().removeprefix('.')}" for extension in extensions)
