"""DreamBench (Ruiz et al. 2023, DreamBooth) from its folder: 30 subjects of several photographs, 25 prompts each."""

from __future__ import annotations

import re
from pathlib import Path

from uso.bench.bench_set import BenchItem, BenchSet, check_distinct
from uso.bench.product import images_in

PROMPTS = "prompts_and_classes.txt"
LIVE = ("cat", "dog")
"""Classes that take the second list of prompts."""

IMAGES = 6
"""Pictures a prompt, as in USO's comparison."""

_QUOTED = re.compile(r"^\s*'(.*\{1\}.*)'\.format\(")


def dreambench_set(folder: Path, *, images: int = IMAGES) -> BenchSet:
    """Return the set of DreamBench's `dataset` folder as its authors publish it.

    The first photograph of a subject is the content reference; pictures are compared with all of them, as DreamBooth
    does. Prompts name the class, without DreamBooth's rare token. Raises ValueError on another layout.
    """
    classes, objects, live = _read(folder / PROMPTS)
    items = []
    for subject, kind in classes.items():
        if not (folder / subject).is_dir():
            raise ValueError(f"{folder / subject}: no such folder, but {PROMPTS} names it")
        photographs = tuple(path.relative_to(folder).as_posix() for path in images_in(folder / subject))
        items += [
            BenchItem(
                re.sub(r"\s+", " ", prompt.replace("{0}", "").replace("{1}", kind)),
                photographs[0],
                subject=subject,
                likenesses=photographs,
                images=images,
            )
            for prompt in (live if kind in LIVE else objects)
        ]
    found = BenchSet(folder, "dreambench", tuple(items), noise="shared", about={"made": "DreamBench's folder"})
    check_distinct(found)
    return found


def _read(path: Path) -> tuple[dict[str, str], list[str], list[str]]:
    """Return the class of each subject, the prompts for objects, and those for live subjects."""
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({error}); name DreamBench's `dataset` folder") from error
    classes: dict[str, str] = {}
    lists: list[list[str]] = []
    for line in lines:
        if quoted := _QUOTED.match(line):
            if not lists:
                raise ValueError(f"{path}: a prompt stands before any list of prompts")
            lists[-1].append(quoted[1])
        elif line.strip().startswith("prompt_list"):
            lists.append([])
        elif line.count(",") == 1 and not lists and not line.startswith("subject_name"):
            subject, kind = (part.strip() for part in line.split(","))
            classes[subject] = kind
    if not classes or len(lists) != 2 or not all(lists):
        raise ValueError(f"{path}: must name subjects with their classes, and two lists of prompts")
    return classes, lists[0], lists[1]
