"""Where pictures lie and what they are called: a picture that is there is never drawn again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from manifests.identities import digest_of
from uso.bench.artist import BaselineArtist, Order
from uso.bench.bench_set import BenchSample, BenchSet
from uso.bench.settings import DrawSettings
from uso.bench.system import System
from uso.images import Size
from uso.saved_png import PARTIAL, save_png
from uso.tasks import Task

PICTURES = "pictures"
_DIGEST_SHOWN = 16


@dataclass(frozen=True)
class Sheet:
    """A sample with all that decides its picture: the order to an artist, and its id."""

    number: int
    sample: BenchSample
    task: Task
    order: Order
    id: str
    truth: str | None
    """The sha256 of the truth, which decides nothing but the picture of the system that hands it back."""

    group: tuple[object, ...]
    """Sheets of one group can be drawn in one batch: their sizes, and numbers of images, are the same."""


def lay_out(bench: BenchSet, settings: DrawSettings, limit: int | None = None) -> list[Sheet]:
    """Return a sheet for every sample of a set, or for about `limit` of them.

    Of each task the same share is kept, chosen by the samples' ids, so that a higher limit only adds. Raises ValueError
    naming an image that cannot be read.
    """
    sizes = {path: _size(bench.image(path)) for path in bench.image_digests}
    sheets = [_sheet(number, sample, bench, settings, sizes) for number, sample in enumerate(bench.samples())]
    if limit is None or limit >= len(sheets):
        return sheets
    by_task: dict[Task, list[Sheet]] = defaultdict(list)
    for sheet in sorted(sheets, key=lambda sheet: sheet.id):
        by_task[sheet.task].append(sheet)
    share = limit / len(sheets)
    kept = [sheet for group in by_task.values() for sheet in group[: max(1, round(share * len(group)))]]
    return sorted(kept, key=lambda sheet: sheet.number)


def plan_batches(sheets: Sequence[Sheet], batch: int) -> list[list[Sheet]]:
    """Return the sheets in batches that can be drawn at once.

    Which sheets share a batch follows from the set alone, not from what was drawn before: a batch that was cut short by
    a crash is drawn as a whole, so that its pictures are the same to the bit.
    """
    groups: dict[object, list[Sheet]] = defaultdict(list)
    for sheet in sheets:
        groups[sheet.group].append(sheet)
    return [group[start : start + batch] for group in groups.values() for start in range(0, len(group), batch)]


class Album:
    """The pictures of one system in a results folder: `pictures/<system>/<id>.png`, each whole or not there."""

    def __init__(self, out: Path, system: System) -> None:
        self.folder = out / PICTURES / system.digest[:_DIGEST_SHOWN]
        self._system = system
        self._can = BaselineArtist(system).can if system.baseline is not None else None

    def path(self, sheet: Sheet) -> Path:
        """Return where a sheet's picture lies, or will."""
        if self._system.baseline != "truth":
            return self.folder / f"{sheet.id}.png"
        return self.folder / f"{digest_of([sheet.id, sheet.truth])}.png"

    def has(self, sheet: Sheet) -> bool:
        """Return whether the picture is there."""
        return self.path(sheet).is_file()

    def clear_partial(self) -> None:
        """Remove what a run that was killed had half written."""
        for left in self.folder.glob(f".*{PARTIAL}"):
            left.unlink(missing_ok=True)

    def answers(self, sheets: Sequence[Sheet]) -> list[Sheet]:
        """Return the sheets that the system has an answer to: a copy of the content needs a content image."""
        return [sheet for sheet in sheets if self._can is None or self._can(sheet.order)]

    def missing(self, batches: Sequence[Sequence[Sheet]]) -> Iterator[list[Sheet]]:
        """Yield the batches of which a picture is not there yet."""
        return (list(batch) for batch in batches if not all(self.has(sheet) for sheet in batch))

    def save(self, sheet: Sheet, picture: Image.Image, settings: DrawSettings) -> bool:
        """Write a picture with what it was drawn by, unless it is there; return whether it was written."""
        if self.has(sheet):
            return False
        save_png(picture, self.path(sheet), self._told(sheet, settings))
        return True

    def _told(self, sheet: Sheet, settings: DrawSettings) -> dict[str, Any]:
        item = sheet.sample.item
        return settings.told() | {
            "id": sheet.id,
            "system": self._system.name,
            "system_digest": self._system.digest,
            "prompt": item.prompt,
            "task": sheet.task.value,
            "content": item.content,
            "styles": list(item.styles),
            "seed": sheet.sample.seed,
        }


def _sheet(number: int, sample: BenchSample, bench: BenchSet, settings: DrawSettings, sizes: dict[str, Size]) -> Sheet:
    item = sample.item
    content_size = None if item.content is None else sizes[item.content]
    size = settings.target_size(item.task, content_size)
    order = Order(
        prompt=item.prompt,
        content=None if item.content is None else bench.image(item.content),
        styles=tuple(bench.image(style) for style in item.styles),
        truth=None if item.truth is None else bench.image(item.truth),
        size=size,
        seed=sample.seed,
    )
    prompt, content, styles, truth, *_ = bench.identity(item)
    identity = digest_of([prompt, content, styles, sample.seed, list(size), settings.told()])
    return Sheet(number, sample, item.task, order, identity, truth, (size, content_size, len(item.styles)))


def _size(path: Path) -> Size:
    try:
        with Image.open(path) as image:
            return image.size
    except OSError as error:
        raise ValueError(f"{path}: cannot be read as an image ({error})") from error
