"""What to draw: a prompt, an optional content reference, style images; the task follows from which there are."""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from uso.images import CONTENT_LONG_SIDE, SIDE_STEP, Size, content_sizes, floor_side

DEFAULT_SIDE = 1024


class Task(StrEnum):
    """The tasks of USO (arXiv 2508.18966, 3.1)."""

    TEXT = "text"
    SUBJECT = "subject"
    STYLE = "style"
    LAYOUT_SHIFTED = "style + subject, layout-shifted"
    LAYOUT_PRESERVED = "style + subject, layout-preserved"


@dataclass(frozen=True)
class SampleRequest:
    """One image to draw, by the paths of its references. An empty prompt keeps the content reference's layout.

    `save_as` is the name that an evaluation asks the image to be saved under, without a suffix.
    """

    prompt: str
    content: Path | None = None
    styles: tuple[Path, ...] = ()
    save_as: str | None = None

    @property
    def task(self) -> Task:
        """Return the task that prompt and references make."""
        if self.content is None:
            return Task.STYLE if self.styles else Task.TEXT
        if not self.styles:
            return Task.SUBJECT
        return Task.LAYOUT_SHIFTED if self.prompt.strip() else Task.LAYOUT_PRESERVED

    def output_name(self, number: int) -> str:
        """Return the name that images of the request with this number are saved under, without seed and suffix."""
        return self.save_as or str(number)

    def target_size(self, width: int | None, height: int | None, content_size: Size | None) -> Size:
        """Return the target's size in pixels, multiples of 16.

        A stated width and height are floored, as upstream does. Without them a layout to be preserved has the
        content reference's aspect ratio at a long side of 1024 px, and anything else is 1024 px square. Raises
        ValueError when only one of the two is stated, or one is below 16.
        """
        if (width is None) != (height is None):
            raise ValueError("state both width and height, or neither")
        if width is not None and height is not None:
            if min(width, height) < SIDE_STEP:
                raise ValueError(f"an image of {width} x {height} px is below one token of {SIDE_STEP} px")
            return floor_side(width), floor_side(height)
        if self.task is Task.LAYOUT_PRESERVED and content_size is not None:
            kept = content_sizes(*content_size)[1]
            times = DEFAULT_SIDE // CONTENT_LONG_SIDE
            return kept[0] * times, kept[1] * times
        return DEFAULT_SIDE, DEFAULT_SIDE


def read_requests(path: Path) -> list[SampleRequest]:
    """Read an evaluation JSON in upstream's form.

    It is a list of `{"prompt", "image_paths": [content or "", style, ...]}`, with an optional `save_dir` that names
    the outputs; paths are relative to the file. Raises ValueError naming the item and its fault; two items that would
    be saved under one name are one.
    """
    try:
        items = json.loads(path.read_text())
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path}: not a JSON file ({error})") from error
    if not isinstance(items, list) or not items:
        raise ValueError(f'{path}: must be a list of {{"prompt", "image_paths"}}, with at least one')
    requests = [_request(item, f"{path}, item {number}", path.parent) for number, item in enumerate(items)]
    owners: dict[Path, int] = {}
    for number, request in enumerate(requests):
        first = owners.setdefault(Path(request.output_name(number)), number)
        if first != number:
            raise ValueError(
                f"{path}, item {number}: would be saved as {request.output_name(number)}, as item {first} is; "
                'give each its own "save_dir"'
            )
    return requests


def _request(item: object, where: str, root: Path) -> SampleRequest:
    if not isinstance(item, dict):
        raise ValueError(f'{where}: must be an object with "prompt" and "image_paths"')
    prompt, paths, name = item.get("prompt"), item.get("image_paths", []), item.get("save_dir")
    if not isinstance(prompt, str):
        raise ValueError(f'{where}: "prompt" must be a string, which may be empty')
    if not isinstance(paths, list) or not all(isinstance(entry, str) for entry in paths):
        raise ValueError(f'{where}: "image_paths" must be a list of strings, "" for no content reference')
    if name is not None and (not isinstance(name, str) or Path(name).is_absolute() or ".." in Path(name).parts):
        raise ValueError(f'{where}: "save_dir" must be a relative path inside the output folder')
    images = [root / entry if entry else None for entry in paths]
    lost = [str(image) for image in images if image is not None and not image.is_file()]
    if lost:
        raise ValueError(f"{where}: no such image {lost[0]}")
    styles = tuple(image for image in images[1:] if image is not None)
    return SampleRequest(prompt, images[0] if images else None, styles, name)
