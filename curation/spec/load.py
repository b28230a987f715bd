"""Reading a spec: YAML, overrides, and errors that name the path in the YAML and say the mend."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from curation.spec.experts import EXPERT_KINDS
from curation.spec.model import JobSpec
from curation.spec.scores import MODEL_KINDS
from manifests.yaml_file import YamlError, describe, read_mapping
from uso.nano.family import with_family
from workers.experts.uso.settings import PLACES

PAGE = "docs/spec.md"
KINDS = {"iconify", "folder", "procedural", "webdataset", *EXPERT_KINDS, *MODEL_KINDS}


def load_spec(path: Path, overrides: Sequence[str] = ()) -> JobSpec:
    """Read a job spec and apply overrides of the form `a.b=c`, where `c` is YAML.

    Relative paths in the spec start at the spec's own folder, `{nano}` stands for the family that ships. Raises
    YamlError before any work starts.
    """
    raw = read_mapping(path, overrides, example="image.size=256")
    anchor(raw, path)
    try:
        return JobSpec.model_validate(raw)
    except ValidationError as error:
        raise YamlError("\n".join(f"{path}: {line}" for line in describe(error, page=PAGE, tags=KINDS))) from None


def anchor(raw: dict[str, Any], path: Path) -> None:
    """Make the relative paths of a spec that was read from `path` start at its folder. Raises YamlError."""
    _anchor(raw, path.parent)
    _anchor_scores(raw.get("scores"), path.parent)
    _anchor_captions(raw.get("captions"), path.parent)
    try:
        _anchor_experts(raw, path.parent)
    except FileNotFoundError as error:
        raise YamlError(f"{path}: experts: {error}") from None


_SHIPPED_TOWER = "nano"
"""The vision tower that ships, by name: no folder, even where there is one of that name beside the spec."""


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


_SCORE_PLACES = ("weights", "head", "model", "pretrained", "bank")


def _anchor_scores(scores: Any, base: Path) -> None:
    """Make the relative paths of the models that score start at the spec's folder.

    What is not there may be a hub name, or a name or tag of open_clip's, and stays; a weights file or bank never is.
    """
    if not isinstance(scores, dict):
        return
    for key, value in scores.items():
        if isinstance(value, dict):
            _anchor_scores(value, base)
        elif key in _SCORE_PLACES and isinstance(value, str):
            scores[key] = _placed(value, base) if key in ("model", "pretrained") else str(base / value)
    if isinstance(scores.get("evaluation"), list):
        scores["evaluation"] = [
            str(base / folder) if isinstance(folder, str) else folder for folder in scores["evaluation"]
        ]


def _anchor_captions(captions: Any, base: Path) -> None:
    """Make the folder of a model that captions start at the spec's folder; what is not there may be a hub name."""
    if isinstance(captions, dict) and captions.get("kind") == "transformers" and isinstance(captions.get("model"), str):
        captions["model"] = _placed(captions["model"], base)


def _anchor_experts(raw: dict[str, Any], base: Path) -> None:
    """Make the experts' relative paths start at the spec's folder; what is not there may be a hub name, and stays."""
    roles = raw["experts"].values() if isinstance(raw.get("experts"), dict) else []
    entries = [entry for role in roles for entry in (role if isinstance(role, list) else [role])]
    for entry in entries:
        for key in (*PLACES, "instructions"):
            if isinstance(entry, dict) and isinstance(entry.get(key), str) and entry[key] != _SHIPPED_TOWER:
                entry[key] = _placed(with_family(entry[key]), base)


def _placed(place: str, base: Path) -> str:
    kind, colon, path = place.rpartition(":")
    name, slashes, subfolder = path.partition("//")
    there = (base / name).exists()
    return f"{kind}{colon}{base / name}{slashes}{subfolder}" if there else place
