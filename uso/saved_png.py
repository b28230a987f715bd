"""PNG files that carry the settings they were drawn with."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from uuid import uuid4

from PIL import Image
from PIL.PngImagePlugin import PngInfo

SETTINGS_KEY = "triptych"
"""Name of the PNG text chunk that holds the settings, as JSON."""

PARTIAL = ".partial"
"""End of the name of a file that is being written."""


def save_png(image: Image.Image, path: Path, settings: Mapping[str, object]) -> None:
    """Write an image with its settings embedded, whole or not at all, by one writer or several. Creates folders."""
    info = PngInfo()
    info.add_itxt(SETTINGS_KEY, json.dumps(dict(settings), ensure_ascii=False, sort_keys=True))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{uuid4().hex}{PARTIAL}")
    image.save(temporary, format="PNG", pnginfo=info)
    temporary.replace(path)


def read_settings(path: Path) -> dict[str, object]:
    """Return the settings that a PNG carries. Raises ValueError when it carries none."""
    with Image.open(path) as image:
        image.load()
        text = getattr(image, "text", {}).get(SETTINGS_KEY)
    if text is None:
        raise ValueError(f"{path}: carries no settings")
    settings: dict[str, object] = json.loads(text)
    return settings
