"""The data card (README.md) and the attributions of an export."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from manifests.export.selection import Selection, licence_of
from manifests.licences import licence, split_licences
from manifests.records import ROLES

_SIZES = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def card(selection: Selection, *, name: str, about: Mapping[str, Any], files: Mapping[str, str]) -> str:
    """Return the card in Markdown, with the front matter that a hub reads; `files` is the glob of each split."""
    licences = selection.licences()
    front = {
        "pretty_name": name,
        "license": licence_of(licences),
        "task_categories": ["text-to-image", "image-to-image"],
        "tags": ["style-transfer", "subject-driven-generation", "triplets", "uso"],
        "size_categories": [next((text for most, text in _SIZES if len(selection) < most), "n>1M")],
        "configs": [{"config_name": "default", "data_files": _data_files(files)}],
    }
    counts = "\n".join(f"| {split} | {count:,} |" for split, count in selection.splits().items())
    said = "\n".join(f"- {each}" for each in licences)
    stated = "\n".join(f"- **{key}**: {value}" for key, value in about.items())
    return f"""---
{yaml.safe_dump(front, sort_keys=False)}---

# {name}

Triplets for style- and subject-driven image generation: a content reference, a style reference, and the stylized
target that shares the subject of the one and the style of the other. Curated with Triptych.

| split | triplets |
|---|---|
{counts}

The subjects of the split `heldout` are in no other split: what is trained on the rest can be measured on them.

## Where it comes from

{stated}

## Licences

The images are under these licences; `ATTRIBUTION.md` names source and author of each package, as they ask. This is
a list of facts, not legal advice.

{said}

## Columns

`target`, `content`, `style` are images. `prompt` is empty where the layout is kept. The scores (`style_similarity`,
...) are those on which the triplet was let in. `<role>_source`, `<role>_licence`, `<role>_author` and the like say
where each image is from.
"""


def _data_files(files: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"split": split, "path": path} for split, path in files.items()]


def attributions(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return title, author, source and licence of everything that the images come from, in Markdown."""
    found: Counter[tuple[str, str, str, str]] = Counter()
    for row in rows:
        for role in ROLES:
            package = row[f"{role}_package"] or row[f"{role}_source"] or "unknown"
            author, url = row[f"{role}_author"] or "unknown", row[f"{role}_attribution_url"] or ""
            found[package, author, url, row[f"{role}_licence"] or "unknown"] += 1
    lines = ["# Attributions", "", "Images were rendered, painted, moved or drawn anew, as each row says.", ""]
    lines += ["| title | author | source | licence | images |", "|---|---|---|---|---|"]
    for (package, author, url, spdx), count in sorted(found.items()):
        links = " ".join(
            f"[{part}]({licence(part).url})" if licence(part).url else part for part in split_licences(spdx)
        )
        lines.append(f"| {_cell(package)} | {_cell(author)} | {_cell(url)} | {links} | {count:,} |")
    return "\n".join(lines) + "\n"


def _link(spdx: str) -> str:
    return f"[{spdx}]({licence(spdx).url})" if licence(spdx).url else spdx


def _cell(text: str) -> str:
    """Return text that stays in its cell of a Markdown table."""
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")
