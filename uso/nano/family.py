"""The nano family that ships: a base and the experts trained from it, 96 pixels a side, bfloat16.

`pipeline` is a folder in FLUX.1-dev's layout; the other members are USO releases on top of it, `dit_lora.safetensors`
and, where a style is read, `projector.safetensors`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

FAMILY = Path(__file__).parent / "family"

RECORD = "family.json"

MEMBERS = {"pipeline": "reference", "stylize": "stylize", "destylize": "destylize"}
"""The members, and the name of the run that each is packed from."""

FIRST = ("autoencoder", "base")
"""The runs that the base of the family was made from, in order; it holds what they came to."""

SIDE = 96
"""Side of the images that the family was trained on, in pixels."""

READS: dict[str, Any] = {"vision": "nano", "style_layers": (-1, -2, -3), "id_shift": "o"}
"""How the family reads its references: tower and layers behind the projector, and where content position ids start."""

TEXT_LENGTH = 20
"""Tokens of a prompt."""

PLACE = "{nano}"
"""What stands for the family's folder in specs and recipes."""


def family_folder() -> Path:
    """Return the folder of the family. Raises FileNotFoundError where its base is missing."""
    if not (FAMILY / "pipeline").is_dir():
        raise FileNotFoundError(
            f"{FAMILY}: the nano family is not there; install the package anew, or train it with `make family`"
        )
    return FAMILY


def release_of(member: str) -> dict[str, str]:
    """Return the files of an expert: `pipeline`, `lora`, and `projector` where it has one."""
    files = {"lora": FAMILY / member / "dit_lora.safetensors", "projector": FAMILY / member / "projector.safetensors"}
    there = {part: str(path) for part, path in files.items() if path.is_file()}
    return {"pipeline": str(family_folder() / "pipeline"), **there}


def read_family() -> dict[str, Any]:
    """Return the record of the family: recipes, data, held-out losses and sha256 of every file, by member."""
    record: dict[str, Any] = json.loads((family_folder() / RECORD).read_text())
    return record


def weight_bytes(facts: dict[str, Any]) -> int:
    """Return the size of a member's weights, in bytes, from its record."""
    return sum(file["bytes"] for name, file in facts["files"].items() if name.endswith(".safetensors"))


def with_family(text: str) -> str:
    """Return a path of a spec or recipe with `{nano}` replaced. Raises FileNotFoundError where it is not there."""
    return text.replace(PLACE, str(family_folder())) if PLACE in text else text
