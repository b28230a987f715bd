"""The files behind a pipeline: where they lie, what class they name, and who they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from manifests.identities import digest_of, digest_of_unchanged_file
from uso.encoders import reported
from uso.pipeline_folder import files_read
from workers.experts.base import ExpertRole
from workers.experts.diffusers.call import require_call
from workers.experts.diffusers.settings import DiffusersSettings
from workers.experts.editing.instructions import read_instructions

_INDEX = "model_index.json"


def folder_of(settings: DiffusersSettings) -> Path:
    """Return the pipeline's folder; a hub name is fetched into the hub's cache, no pickle among its files.

    Raises EncoderError (ValueError) naming the pipeline where it cannot be fetched.
    """
    if Path(settings.pipeline).is_dir():
        return Path(settings.pipeline)
    from diffusers import DiffusionPipeline

    with reported(settings.pipeline):
        return Path(
            DiffusionPipeline.download(
                settings.pipeline, revision=settings.revision, variant=settings.variant, use_safetensors=True
            )
        )


def index_of(folder: Path) -> dict[str, Any]:
    """Return what a pipeline's folder says of itself. Raises ValueError where it is none."""
    path = folder / _INDEX
    try:
        index = json.loads(path.read_text())
    except (OSError, ValueError):
        raise ValueError(f"pipeline: {folder} has no {_INDEX} that can be read, so it is no pipeline") from None
    if not isinstance(index, dict) or not isinstance(index.get("_class_name"), str):
        raise ValueError(f"pipeline: {path} names no class of diffusers; one that brings its own code is not run")
    return index


def class_of(folder: Path) -> Any:
    """Return the class that a pipeline's folder names, as diffusers has it. Raises ValueError where it has none."""
    import diffusers

    name = index_of(folder)["_class_name"]
    found = getattr(diffusers, name, None)
    if not (isinstance(found, type) and issubclass(found, diffusers.DiffusionPipeline)):
        raise ValueError(f"pipeline: {folder} is a {name}, which diffusers {diffusers.__version__} does not have")
    return found


def require_usable(settings: DiffusersSettings) -> Path:
    """Return the pipeline's folder once its class is known to take every setting. Raises ValueError naming the key."""
    folder = folder_of(settings)
    require_call(settings, class_of(folder), parts_of(folder))
    return folder


def parts_of(folder: Path) -> list[str]:
    """Return the names of a pipeline's parts, sorted."""
    return sorted(
        name
        for name, entry in index_of(folder).items()
        if isinstance(entry, list) and entry[0] is not None and (folder / name).is_dir()
    )


def identity(settings: DiffusersSettings) -> dict[str, Any]:
    """Return who an expert is: class, parameters, instructions, and the sha256 of every file that is read, by name."""
    folder = require_usable(settings)
    named = {_INDEX: folder / _INDEX}
    for part in parts_of(folder):
        named |= files_read(part, folder / part)
    return {
        "class": index_of(folder)["_class_name"],
        "parameters": settings.parameters(),
        "instructions": read_instructions(settings.instructions).digest,
        "weights": {name: digest_of_unchanged_file(path) for name, path in named.items()},
    }


def expert_digest(settings: DiffusersSettings, role: ExpertRole) -> str:
    """Return the digest of backend, role, class, parameters, instructions and weights."""
    return digest_of({"backend": "diffusers", "role": role, "version": 1, **identity(settings)})
