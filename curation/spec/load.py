"""Reading a spec: YAML, overrides, and errors that name the path in the YAML and say the mend."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from curation.spec.model import JobSpec

_KINDS = {"iconify", "folder", "procedural", "webdataset"}


class SpecError(ValueError):
    """A spec, or an override of it, cannot be used; the message has one line for each fault."""


def load_spec(path: Path, overrides: Sequence[str] = ()) -> JobSpec:
    """Read a job spec and apply overrides of the form `a.b=c`, where `c` is YAML.

    Relative paths in the spec start at the spec's own folder. Raises SpecError before any work starts.
    """
    if not path.is_file():
        raise SpecError(f"{path}: no such spec file; `jobs/` has ready ones")
    try:
        raw = yaml.safe_load(path.read_text())
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise SpecError(f"{path}: not readable as YAML: {' '.join(str(error).split())}") from None
    if not isinstance(raw, dict):
        raise SpecError(f"{path}: holds {type(raw).__name__}, a mapping of keys is needed")
    for override in overrides:
        _apply(raw, override)
    _anchor(raw, path.parent)
    try:
        return JobSpec.model_validate(raw)
    except ValidationError as error:
        raise SpecError("\n".join(f"{path}: {line}" for line in describe(error))) from None


def describe(error: ValidationError) -> list[str]:
    """Return one line for each fault: where in the YAML, and what is wrong with it."""
    lines = []
    for fault in error.errors():
        location = list(fault["loc"])
        where = ""
        for position, step in enumerate(location):
            if isinstance(step, int):
                where += f"[{step}]"
            elif not (step in _KINDS and position and isinstance(location[position - 1], int)):
                where += f".{step}" if where else str(step)
        message = fault["msg"].removeprefix("Value error, ")
        if fault["type"] == "extra_forbidden":
            message = "unknown key; see docs/spec.md for the keys there are"
        elif fault["type"] == "missing":
            message = "this key is needed"
        elif "input" in fault and isinstance(fault["input"], str | int | float | bool):
            message = f"{message} (got {fault['input']!r})"
        lines.append(f"{where or 'spec'}: {message}")
    return lines


def _apply(raw: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise SpecError(f"--set {override}: write it as key.inner=value, e.g. --set image.size=256")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        raise SpecError(f"--set {override}: the value is not readable as YAML; quote it") from None
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
        raise SpecError(f"--set {override}: {step} is a single value, it has no inner keys")
    return inner


def _position(place: list[Any], step: str, override: str) -> int:
    if not step.isdigit() or int(step) >= len(place):
        raise SpecError(f"--set {override}: {step} is no position in a list of {len(place)}")
    return int(step)


def _anchor(raw: dict[str, Any], base: Path) -> None:
    """Make relative paths start at the spec's folder."""

    def absolute(value: Any) -> Any:
        return str(base / value) if isinstance(value, str) else value

    if "policy" in raw:
        raw["policy"] = absolute(raw["policy"])
    if isinstance(raw.get("encoder"), dict) and "weights" in raw["encoder"]:
        raw["encoder"]["weights"] = absolute(raw["encoder"]["weights"])
    for source in raw.get("sources") or []:
        if not isinstance(source, dict):
            continue
        for key in ("path", "table"):
            if key in source and (key == "path" or source[key] is not None):
                source[key] = absolute(source[key])
        if isinstance(source.get("urls"), list):
            source["urls"] = [absolute(url) for url in source["urls"]]
