"""YAML files that people write: read with overrides, and their faults told by the path in the YAML."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError


class YamlError(ValueError):
    """A file, or an override of it, cannot be used; the message has one line for each fault."""


def read_mapping(path: Path, overrides: Sequence[str] = (), *, example: str) -> dict[str, Any]:
    """Read a YAML mapping and apply overrides of the form `a.b=c`, where `c` is YAML.

    `example` is an override to show to who wrote one wrongly. Raises YamlError.
    """
    if not path.is_file():
        raise YamlError(f"{path}: no such file; `jobs/` has ready ones")
    try:
        raw = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise YamlError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise YamlError(f"{path}: holds {type(raw).__name__}, a mapping of keys is needed")
    for override in overrides:
        _apply(raw, override, example)
    return raw


def describe(error: ValidationError, *, page: str, tags: Collection[str] = ()) -> list[str]:
    """Return one line for each fault: where in the YAML, and what is wrong with it.

    `page` is where the keys are explained; `tags` are names of variants, which pydantic puts into the path and the
    YAML has not.
    """
    lines = []
    for fault in error.errors():
        location = list(fault["loc"])
        where = ""
        for position, step in enumerate(location):
            if isinstance(step, int):
                where += f"[{step}]"
            elif not (step in tags and position):
                where += f".{step}" if where else str(step)
        message = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            message = f"unknown key; see {page} for the keys there are"
        elif fault["type"] == "missing":
            message = "this key is needed"
        elif "input" in fault and isinstance(fault["input"], str | int | float | bool):
            message = f"{message} (got {fault['input']!r})"
        lines.append(f"{where or 'top level'}: {message}")
    return lines


def _apply(raw: dict[str, Any], override: str, example: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise YamlError(f"--set {override}: write it as key.inner=value, e.g. --set {example}")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise YamlError(f"--set {override}: the value is not readable as YAML; quote it") from None
    *outer, last = key.split(".")
    place: Any = raw
    for step in outer:
        place = _descend(place, step, override)
    if isinstance(place, list):
        place[_position(place, last, override)] = value
    else:
        place[last] = value


def _descend(place: Any, step: str, override: str) -> Any:
    if isinstance(place, list):
        return place[_position(place, step, override)]
    inner = place.setdefault(step, {})
    if inner is None:
        inner = place[step] = {}
    if not isinstance(inner, dict | list):
        raise YamlError(f"--set {override}: {step} is a single value, it has no inner keys")
    return inner


def _position(place: list[Any], step: str, override: str) -> int:
    if not step.isdigit() or int(step) >= len(place):
        raise YamlError(f"--set {override}: {step} is no position in a list of {len(place)}")
    return int(step)
