"""Pictures of a run, as `samples/<name>-<step>.png`."""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from uso.saved_png import save_png

SAMPLES = "samples"

_NAME = re.compile(r"[A-Za-z0-9_.][A-Za-z0-9_.-]*")
_FILE = re.compile(rf"(?P<name>{_NAME.pattern})-(?P<step>\d{{8,}})\.png")


@dataclass(frozen=True)
class SampleFile:
    """A picture that a run drew at a step."""

    name: str
    step: int
    path: Path


class SampleFolder:
    """Saves pictures; opened at the step that a run resumes at, it first removes those past it, which come again."""

    def __init__(self, folder: Path, resume_step: int | None) -> None:
        self._folder = folder
        for file in _files(folder):
            if resume_step is None or file.step > resume_step:
                file.path.unlink()

    def image(self, step: int, name: str, picture: Image.Image) -> None:
        """Save a picture, whole or not at all. Raises ValueError on names that are no plain file names."""
        if not _NAME.fullmatch(name):
            raise ValueError(f"picture {name!r}: use letters, digits, `_`, `.` and `-`")
        save_png(picture, self._folder / f"{name}-{step:08d}.png", {"name": name, "step": step})


def sample_files(out: Path) -> dict[str, list[SampleFile]]:
    """Return a run's pictures by name, the oldest first."""
    found: dict[str, list[SampleFile]] = defaultdict(list)
    for file in sorted(_files(out / SAMPLES), key=lambda file: (file.name, file.step)):
        found[file.name].append(file)
    return dict(found)


def _files(folder: Path) -> list[SampleFile]:
    if not folder.is_dir():
        return []
    matches = [(_FILE.fullmatch(path.name), path) for path in folder.iterdir()]
    return [SampleFile(match["name"], int(match["step"]), path) for match, path in matches if match]
