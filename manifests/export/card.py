"""The data card (README.md) of an export."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import yaml

from manifests.export.selection import Selection, licence_of

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

The images are under these licences; `ATTRIBUTION.md` names title, author and source of every work, as they ask. This is
a list of facts, not legal advice.

{said}

## Columns

`target`, `content`, `style` are images. `prompt` is empty where the layout is kept. The scores (`style_similarity`,
...) are those on which the triplet was let in. `<role>_source`, `<role>_licence`, `<role>_author` and the like say
where each image is from.
"""


def _data_files(files: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"split": split, "path": path} for split, path in files.items()]
