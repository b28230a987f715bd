"""A bench set: what every system is asked to draw, kept as a folder with `bench.json` and images."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Literal

from manifests.identities import digest_of, digest_of_file, seed_of
from uso.tasks import SampleRequest, Task

BENCH_FILE = "bench.json"
FORMAT = 1
DEFAULT_SEED = 3407
"""Upstream's seed."""

Noise = Literal["own", "shared"]
"""Whether each picture starts from noise of its own, or the j-th pictures of all items from the same, as upstream's."""


@dataclass(frozen=True)
class BenchItem:
    """One thing to draw; images are POSIX paths from the set's folder.

    `subject` and `style` name what the pictures of an item have in common with those of others: the bootstrap draws
    them, not pictures. `likenesses` show the subject that is asked for; `truth` is the right answer, where there is
    one. `images` pictures are drawn, with seeds of their own.
    """

    prompt: str
    content: str | None = None
    styles: tuple[str, ...] = ()
    subject: str = ""
    style: str | None = None
    likenesses: tuple[str, ...] = ()
    truth: str | None = None
    images: int = 1

    @property
    def task(self) -> Task:
        """Return the task that prompt and references make."""
        content = None if self.content is None else Path(self.content)
        return SampleRequest(self.prompt, content, tuple(Path(style) for style in self.styles)).task

    @property
    def paths(self) -> list[str]:
        """Return all images of the item, each once."""
        named = [self.content, *self.styles, *self.likenesses, self.truth]
        return list(dict.fromkeys(path for path in named if path is not None))


@dataclass(frozen=True)
class BenchSample:
    """One picture to be drawn: the item, which of its pictures, and the seed of its noise."""

    item: BenchItem
    turn: int
    seed: int


@dataclass(frozen=True)
class BenchSet:
    """What is drawn, and by which images.

    `about` says how the set was made, `credits` whom its images are owed to; neither decides a picture.
    """

    folder: Path
    name: str
    items: tuple[BenchItem, ...]
    seed: int = DEFAULT_SEED
    noise: Noise = "own"
    about: Mapping[str, Any] = field(default_factory=dict)
    credits: Sequence[Mapping[str, Any]] = ()

    def image(self, path: str) -> Path:
        """Return where an image of the set lies."""
        return self.folder / path

    @cached_property
    def image_digests(self) -> dict[str, str]:
        """Return the sha256 of every image, by its path in the set."""
        paths = sorted({path for item in self.items for path in item.paths})
        return {path: digest_of_file(self.image(path)) for path in paths}

    @cached_property
    def digest(self) -> str:
        """Return the digest of all that is asked for, images included."""
        return digest_of([self.seed, self.noise, [self.identity(item) for item in self.items]])

    def identity(self, item: BenchItem) -> list[Any]:
        """Return what an item is, whatever its images are called."""
        known = self.image_digests
        content = None if item.content is None else known[item.content]
        truth = None if item.truth is None else known[item.truth]
        likenesses = sorted(known[path] for path in item.likenesses)
        return [item.prompt, content, [known[style] for style in item.styles], truth, likenesses, item.images]

    def samples(self) -> list[BenchSample]:
        """Return every picture to be drawn, in the order of the items.

        Own noise follows from prompt and references, so it does not change when other items come or go.
        """
        return [BenchSample(item, turn, self._seed(item, turn)) for item in self.items for turn in range(item.images)]

    def _seed(self, item: BenchItem, turn: int) -> int:
        if self.noise == "shared":
            return self.seed + turn
        return seed_of(digest_of(self.identity(item)[:3]), f"bench/{self.seed}/{turn}")


def read_set(path: Path) -> BenchSet:
    """Read a set from its folder or its file, or an evaluation list in upstream's form.

    Raises ValueError naming the item and its fault; images must all be there.
    """
    from uso.bench.upstream import upstream_set

    file = path / BENCH_FILE if path.is_dir() else path
    try:
        told = json.loads(file.read_text())
    except FileNotFoundError as error:
        raise ValueError(f"{file}: not there; `triptych bench build` makes a set") from error
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{file}: not a JSON file ({error})") from error
    if isinstance(told, list):
        return upstream_set(file)
    if not isinstance(told, dict) or told.get("format") != FORMAT:
        raise ValueError(f'{file}: must be a bench set ("format": {FORMAT}) or a list in upstream\'s form')
    items = told.get("items")
    if not isinstance(items, list) or not items:
        raise ValueError(f'{file}: "items" must be a list with at least one item')
    read = tuple(_item(entry, f"{file}, item {number}", file.parent) for number, entry in enumerate(items))
    noise, seed = told.get("noise", "own"), told.get("seed", DEFAULT_SEED)
    if noise not in ("own", "shared") or not isinstance(seed, int) or seed < 0:
        raise ValueError(f'{file}: "noise" must be "own" or "shared", and "seed" a whole number from 0')
    found = BenchSet(
        file.parent,
        str(told.get("name", file.parent.name)),
        read,
        seed=seed,
        noise=noise,
        about=told.get("about", {}),
        credits=told.get("credits", ()),
    )
    check_distinct(found)
    return found


def write_set(bench: BenchSet) -> Path:
    """Write a set's `bench.json`, whole or not at all; its images lie in the folder already."""
    told = {
        "format": FORMAT,
        "name": bench.name,
        "seed": bench.seed,
        "noise": bench.noise,
        "about": dict(bench.about),
        "items": [_told(item) for item in bench.items],
        "credits": [dict(credit) for credit in bench.credits],
    }
    bench.folder.mkdir(parents=True, exist_ok=True)
    draft = bench.folder / f".{BENCH_FILE}"
    draft.write_text(json.dumps(told, indent=1, ensure_ascii=False) + "\n")
    return draft.replace(bench.folder / BENCH_FILE)


def check_distinct(bench: BenchSet) -> None:
    """Raise ValueError when two items ask for the same picture, which would be counted twice."""
    seen: dict[str, int] = {}
    for number, item in enumerate(bench.items):
        first = seen.setdefault(digest_of(bench.identity(item)[:3]), number)
        if first != number:
            raise ValueError(
                f'{bench.folder}: items {first} and {number} ask for the same picture; keep one, and state "images"'
            )


def _told(item: BenchItem) -> dict[str, Any]:
    """Return an item as JSON: upstream's two keys, and ours beside them."""
    told: dict[str, Any] = {"prompt": item.prompt, "image_paths": [item.content or "", *item.styles]}
    told |= {"subject": item.subject, "style": item.style, "likenesses": list(item.likenesses), "truth": item.truth}
    return told | {"images": item.images}


def _item(entry: Any, where: str, folder: Path) -> BenchItem:
    if not isinstance(entry, dict):
        raise ValueError(f'{where}: must be an object with "prompt" and "image_paths"')
    prompt, paths, images = entry.get("prompt"), entry.get("image_paths", []), entry.get("images", 1)
    if not isinstance(prompt, str):
        raise ValueError(f'{where}: "prompt" must be a string, which may be empty')
    if not isinstance(images, int) or images < 1:
        raise ValueError(f'{where}: "images" must be a whole number from 1')
    content, *styles = [*_paths(paths, "image_paths", where, folder), *([] if paths else [""])]
    likenesses = _paths(entry.get("likenesses", []), "likenesses", where, folder)
    truth = _paths([entry.get("truth") or ""], "truth", where, folder)[0]
    if not content and not styles:
        raise ValueError(f"{where}: has neither a content nor a style reference, so no task of the bench is asked for")
    return BenchItem(
        prompt=prompt,
        content=content or None,
        styles=tuple(style for style in styles if style),
        subject=str(entry.get("subject") or content or prompt),
        style=str(entry.get("style") or styles[0]) if styles else None,
        likenesses=tuple(likenesses) or ((content,) if content else ()),
        truth=truth or None,
        images=images,
    )


def _paths(given: Any, key: str, where: str, folder: Path) -> list[str]:
    if not isinstance(given, list) or not all(isinstance(path, str) for path in given):
        raise ValueError(f'{where}: "{key}" must be a list of strings')
    for path in given:
        if path and not (folder / PurePosixPath(path)).is_file():
            raise ValueError(f"{where}: no such image {folder / path}")
    return list(given)
