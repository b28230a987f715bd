"""The folder of a pipeline in FLUX.1-dev's layout: where its parts lie, and the files that decide what it draws."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

PipelinePart = Literal["transformer", "text_encoder_2", "text_encoder", "vae"]

READ = (".safetensors", ".json", ".txt", ".model")
"""Endings of what is read of a folder: weights, settings and vocabularies."""


def part_in(folder: Path, part: PipelinePart) -> Path:
    """Return where a part lies in a pipeline's folder.

    Without `text_encoder_2` the one text encoder serves for both, as in the nano family.
    """
    if part == "text_encoder_2" and not (folder / part).is_dir():
        part = "text_encoder"
    return folder / part


def files_read(name: str, place: Path) -> dict[str, Path]:
    """Return the files that are read of a file or folder, by names that start with `name` and survive a move."""
    if place.is_file():
        return {name: place}
    inside = sorted(path for path in place.rglob("*") if path.suffix in READ and path.is_file())
    return {f"{name}/{path.relative_to(place).as_posix()}": path for path in inside}
