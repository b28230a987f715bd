"""Systems as a person names them: `NAME=` a baseline, a run's folder, a pipeline's folder, or the parts one by one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import yaml

from manifests.yaml_file import read_mapping
from uso.bench.system import BASELINES, Checkpoint, System
from uso.nano.family import READS, release_of, with_family
from uso.pipeline_folder import PipelinePart, part_in
from uso.position_ids import IdShift
from uso.training.catalog import Slots
from uso.training.outcome import read_outcome
from uso.training.recipe import Recipe

FORMS = (
    "NAME=copy-content, copy-style or truth; NAME=FOLDER of a training run or of a pipeline; NAME=nano or nano-base; "
    "NAME=pipeline=DIR,lora=FILE,projector=FILE,..."
)

_KEYS = frozenset(
    ("pipeline", "base", "t5", "clip", "vae", "lora", "projector", "vision", "style_layers", "text_length", "id_shift")
)
_PARTS: dict[str, PipelinePart] = {
    "base": "transformer",
    "t5": "text_encoder_2",
    "clip": "text_encoder",
    "vae": "vae",
}
_NAME = re.compile(r"[\w.+ -]{1,40}")
_FAMILY = {"nano": "stylize", "nano-base": "pipeline"}
"""Names of the family that ships, and the members that they mean."""


def parse_system(text: str) -> System:
    """Return the system that one `--system` names. Raises ValueError or OSError saying what is wrong, and the forms."""
    name, equals, what = text.partition("=")
    if not equals:
        name, what = text, text
    if not what or not _NAME.fullmatch(name):
        raise ValueError(f"--system {text}: write {FORMS}")
    if "=" in what:
        pairs = [part.partition("=") for part in what.split(",")]
        return System(name, checkpoint=_from_parts({key: value for key, _, value in pairs}, name))
    return _named(name, what)


def read_systems(path: Path) -> list[System]:
    """Return the systems of a YAML file: names, each with one of the forms or a mapping of parts.

    Raises YamlError or ValueError naming the system at fault.
    """
    listed = read_mapping(path, example="")
    return [
        System(str(name), checkpoint=_from_parts(what, str(name)))
        if isinstance(what, Mapping)
        else parse_system(f"{name}={what}")
        for name, what in listed.items()
    ]


def _named(name: str, what: str) -> System:
    for baseline in BASELINES:
        if what == baseline:
            return System(name, baseline=baseline)
    if what in _FAMILY:
        return System(name, checkpoint=_from_parts(release_of(_FAMILY[what]), name))
    folder = Path(what)
    if (folder / "recipe.yaml").is_file():
        return System(name, checkpoint=_of_run(folder, name))
    if (folder / "transformer").is_dir():
        return System(name, checkpoint=_from_parts({"pipeline": what}, name))
    raise ValueError(f"--system {name}={what}: is neither a folder of a run or pipeline, nor a baseline; write {FORMS}")


def _from_parts(parts: Mapping[str, Any], name: str) -> Checkpoint:
    unknown = sorted(set(parts) - _KEYS)
    if unknown:
        raise ValueError(f"system {name}: unknown part {unknown[0]!r}; there are {', '.join(sorted(_KEYS))}")
    given = {key: with_family(value) if isinstance(value, str) else value for key, value in parts.items()}
    given = _with_pipeline(given, name)
    lacking = [key for key in ("base", "t5", "clip", "vae") if key not in given]
    if lacking:
        raise ValueError(f"system {name}: {', '.join(lacking)} missing; give them, or pipeline=DIR")
    for key in ("base", "lora", "projector"):
        if given.get(key) is not None and not Path(given[key]).exists():
            raise ValueError(f"system {name}: {key} {given[key]} is not there")
    if "style_layers" in given:
        given["style_layers"] = _layers(given["style_layers"], name)
    if given.get("id_shift", "d") not in get_args(IdShift):
        raise ValueError(f"system {name}: id_shift is one of {', '.join(get_args(IdShift))}, not {given['id_shift']}")
    if "text_length" in given:
        given["text_length"] = _whole(given["text_length"], name)
    return Checkpoint(**given)


def _with_pipeline(given: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the parts with those that a pipeline's folder has; what was stated wins."""
    pipeline = given.pop("pipeline", None)
    if pipeline is None:
        return given
    folder = Path(pipeline)
    if not folder.is_dir():
        raise ValueError(f"system {name}: pipeline {folder} is no folder")
    found: dict[str, Any] = {key: str(part_in(folder, part)) for key, part in _PARTS.items()}
    if found["t5"] == found["clip"]:  # the nano family's layout, which settles the rest
        settings = json.loads((folder / "text_encoder" / "config.json").read_text())
        found["text_length"] = settings["max_position_embeddings"]
        found |= READS
    return found | given


def _of_run(folder: Path, name: str) -> Checkpoint:
    """Return what a training run ended with: what it exported, and for the rest what its recipe started from."""
    outcome = read_outcome(folder)
    if outcome is None or not outcome.exported:
        raise ValueError(f"system {name}: the run in {folder} has exported nothing; let it finish, or name its parts")
    recipe = Recipe.model_validate(yaml.safe_load((folder / "recipe.yaml").read_text()))
    model = recipe.model
    exported = {path.name: path for path in outcome.exported}
    parts: dict[str, Any] = {"lora": model.lora, "projector": model.projector}
    if "pipeline" in exported:
        parts["pipeline"] = str(exported["pipeline"])
    else:
        parts |= {key: model.source(part) for key, part in _PARTS.items()}
    for key, file in (("lora", "dit_lora.safetensors"), ("projector", "projector.safetensors")):
        parts[key] = exported.get(file, parts[key])
    parts |= {"text_length": model.text_length if model.fresh_text is None else model.fresh_text.length}
    parts |= {"style_layers": model.style.layers, "vision": model.vision, "id_shift": recipe.flow.id_shift}
    checkpoint = _from_parts({key: _plain(value) for key, value in parts.items() if value is not None}, name)
    as_contents = recipe.data.slots.second is not None and recipe.data.slots.second == Slots().style
    return replace(checkpoint, styles_as_contents=as_contents)


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


def _layers(given: Any, name: str) -> tuple[int, int, int]:
    try:
        high, mid, low = (int(layer) for layer in (given.split("/") if isinstance(given, str) else given))
    except (ValueError, TypeError) as error:
        raise ValueError(f"system {name}: style_layers must be three numbers, such as -2/-11/-20") from error
    return high, mid, low


def _whole(given: Any, name: str) -> int:
    try:
        return int(given)
    except ValueError as error:
        raise ValueError(f"system {name}: text_length must be a whole number, not {given!r}") from error
