"""Evaluation lists in the forms of USO's and UNO's releases, as bench sets."""

from __future__ import annotations

import json
import os
from pathlib import Path, PurePosixPath

from uso.bench.bench_set import BenchItem, BenchSet, check_distinct
from uso.tasks import SampleRequest, read_requests


def upstream_set(path: Path, *, images: int = 1) -> BenchSet:
    """Return the set of a list of `{"prompt", "image_paths": [content or "", style, ...]}`.

    UNO's lists (`image_tgt_path`) are the same with a single reference. A target that is not one of the references is
    taken for the truth. Subjects and styles are told apart by the files of their images; seeds are upstream's, the same
    for all items. Raises ValueError naming the item and its fault.
    """
    requests = read_requests(path)
    targets = [entry.get("image_tgt_path") for entry in json.loads(path.read_text())]
    items = tuple(
        _item(request, target, path, number, images)
        for number, (request, target) in enumerate(zip(requests, targets, strict=True))
    )
    found = BenchSet(path.parent, path.stem, items, noise="shared", about={"made": "a list in upstream's form"})
    check_distinct(found)
    return found


def _item(request: SampleRequest, target: object, path: Path, number: int, images: int) -> BenchItem:
    if request.content is None and not request.styles:
        raise ValueError(f"{path}, item {number}: has neither a content nor a style reference")
    content = None if request.content is None else _within(request.content, path.parent)
    styles = tuple(_within(style, path.parent) for style in request.styles)
    truth = None
    if isinstance(target, str) and (path.parent / target).is_file():
        truth = _within(path.parent / target, path.parent)
    return BenchItem(
        prompt=request.prompt,
        content=content,
        styles=styles,
        subject=_named(content) if content else request.prompt,
        style=_named(styles[0]) if styles else None,
        likenesses=(content,) if content else (),
        truth=None if truth == content or truth in styles else truth,
        images=images,
    )


def _within(image: Path, folder: Path) -> str:
    return Path(os.path.normpath(os.path.relpath(image, folder))).as_posix()


def _named(path: str) -> str:
    return PurePosixPath(path).with_suffix("").as_posix()
