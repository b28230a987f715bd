"""Reading a training recipe: YAML, overrides, stores from the command line, and errors that name the key."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from manifests.yaml_file import YamlError, describe, read_mapping
from uso.nano.family import with_family
from uso.training.recipe import Recipe

PAGE = "docs/training.md"


def load_recipe(path: Path, overrides: Sequence[str] = (), stores: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply overrides of the form `a.b=c`, where `c` is YAML.

    `stores` take the place of the recipe's own; one written `DIR@7` is pinned to version 7 of its manifest. Paths of
    weights and stores start at the working folder, those of `needs` at the recipe's; `{runs}` in a path stands for the
    recipe's `runs`, `{nano}` for the family that ships. Raises YamlError before any work starts.
    """
    raw = read_mapping(path, overrides, example="batch.size=64")
    runs = str(raw.get("runs", Recipe.model_fields["runs"].default))
    try:
        raw = {key: value if key == "runs" else _placed(value, runs) for key, value in raw.items()}
    except FileNotFoundError as error:
        raise YamlError(f"{path}: {error}") from None
    if stores:
        data = raw.setdefault("data", {})
        if isinstance(data, dict):
            data["stores"] = [_store(store) for store in stores]
    for need in raw.get("needs") or []:
        if isinstance(need, dict) and isinstance(need.get("recipe"), str):
            need["recipe"] = str(path.parent / need["recipe"])
    try:
        recipe = Recipe.model_validate(raw)
    except ValidationError as error:
        raise YamlError("\n".join(f"{path}: {line}" for line in describe(error, page=PAGE))) from None
    if not recipe.data.stores:
        raise YamlError(f"{path}: data.stores: there is nothing to train on; give --data STORE, or name stores here")
    return recipe


def _placed(value: Any, runs: str) -> Any:
    """Return part of a recipe with `{runs}` and `{nano}` replaced in every string."""
    if isinstance(value, str):
        return with_family(value.replace("{runs}", runs))
    if isinstance(value, dict):
        return {key: _placed(inner, runs) for key, inner in value.items()}
    return [_placed(inner, runs) for inner in value] if isinstance(value, list) else value


def _store(text: str) -> dict[str, object]:
    path, at, version = text.rpartition("@")
    return {"path": path, "version": int(version)} if at and version.isdigit() else {"path": text}
