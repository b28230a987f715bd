"""The contract of a captioner, and what becomes of a model's words before they are a caption."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from workers.experts.base import Pixels

_LONGEST = 600
"""Characters of a caption; text encoders read far fewer."""


@dataclass(frozen=True)
class NoCaption:
    """Why there is no caption; `reason` is a short name to count by."""

    reason: str
    detail: str


class Captioner(ABC):
    """Says what pictures show. Equal digests say the same of the same picture."""

    title: str

    @property
    @abstractmethod
    def digest(self) -> str:
        """Return the digest of backend, model, weights where they are known, parameters and question."""

    @abstractmethod
    def caption(self, pictures: Sequence[Pixels]) -> list[str | NoCaption]:
        """Return one caption, or why there is none, for each picture, in their order."""


def read_caption(said: str) -> str | NoCaption:
    """Return what a model said as a caption: its first paragraph on one line, without quotes and control characters."""
    first = next((part for part in re.split(r"\n\s*\n", said.strip()) if part.strip()), "")
    line = " ".join("".join(letter if letter.isprintable() else " " for letter in first).split())
    line = line.strip("\"'“”").strip()
    if not re.search(r"\w", line):
        return NoCaption("empty", "the model said nothing")
    if len(line) > _LONGEST:
        return NoCaption("too_long", f"the model said {len(line)} characters, of which {_LONGEST} at most are read")
    return line


def shown(pixels: Pixels, side: int) -> Image.Image:
    """Return a picture, no side longer than `side` pixels."""
    picture = Image.fromarray(pixels)
    picture.thumbnail((side, side), Image.Resampling.LANCZOS)
    return picture
