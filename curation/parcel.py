"""A job spec made ready to travel: one folder with the spec and the small files that it names."""

from __future__ import annotations

import copy
import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from curation.spec.load import anchor
from manifests.yaml_file import YamlError, read_mapping
from uso.nano.family import PLACE

SPEC = "job.yaml"
_FILES = "files"
_LARGEST = 64 * 1024 * 1024


@dataclass
class Parcel:
    """What was packed."""

    folder: Path
    shipped: list[Path] = field(default_factory=list)
    """Files that travel along."""
    awaited: list[Path] = field(default_factory=list)
    """Folders and large files that every node of the cluster has to see under the same path."""


def pack_spec(path: Path, overrides: Sequence[str], folder: Path) -> Parcel:
    """Write a spec, with its overrides applied, and the files that it names into an empty folder.

    Policies, weights, banks, tables and instructions up to 64 MB travel along; folders, and what is larger, stay where
    they are and keep their absolute path. The job joins the cluster that it runs on, whatever `ray.address` says.
    Raises YamlError.
    """
    raw = read_mapping(path, overrides, example="image.size=256")
    written = copy.deepcopy(raw)
    anchor(raw, path.resolve())
    parcel = Parcel(folder)
    spec = _packed(raw, written, parcel)
    ray = spec.setdefault("ray", {})
    if not isinstance(ray, dict):
        raise YamlError(f"{path}: ray: a mapping of keys is needed")
    ray["address"] = "auto"
    (folder / SPEC).write_text(yaml.safe_dump(spec, sort_keys=False, allow_unicode=True))
    return parcel


def _packed(value: Any, written: Any, parcel: Parcel) -> Any:
    """Return a part of the spec as it is read at the other end; `written` is the same part as the user wrote it."""
    if isinstance(value, dict):
        return {key: _packed(inner, written[key], parcel) for key, inner in value.items()}
    if isinstance(value, list):
        return [_packed(inner, before, parcel) for inner, before in zip(value, written, strict=True)]
    if not isinstance(value, str) or PLACE in written:  # each installation has a family of its own
        return written
    kind, colon, rest = value.rpartition(":")
    name, slashes, inside = rest.partition("//")
    place = Path(name)
    if not place.is_absolute() or not place.exists():
        return value
    if place.is_dir() or place.stat().st_size > _LARGEST:
        parcel.awaited.append(place)
        return value
    return f"{kind}{colon}{_ship(place, parcel)}{slashes}{inside}"


def _ship(place: Path, parcel: Parcel) -> str:
    """Copy a file into the parcel, under a folder of its own and its own name, and return its place there."""
    name = f"{_FILES}/{hashlib.sha256(str(place).encode()).hexdigest()[:8]}/{place.name}"
    if place not in parcel.shipped:
        (parcel.folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(place, parcel.folder / name)
        parcel.shipped.append(place)
    return name
