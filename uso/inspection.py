"""What a weight file is: family, sizes, parameters, rank, dtypes, and what would load it. Only headers are read."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path

from uso.formats.base import bfl_entries, diffusers_entries
from uso.formats.compare import require
from uso.formats.family import (
    READABLE,
    Family,
    base_shape,
    family_of,
    lora_shape,
    projector_hidden,
    style_shape,
)
from uso.formats.release import COMFYUI_LORA_MARKS, lora_entries, projector_entries
from uso.formats.safefile import CheckpointError, WeightFile, open_weights
from uso.presets import PRESETS
from uso.reference_file import stated_shape

_PARTS = {"flow": "base", "lora": "LoRA", "projector": "projector", "in": "inputs", "out": "outputs"}


@dataclass(frozen=True)
class Inspection:
    """What a weight file is; `parameters` counts numbers by part, `problem` says why the file would not load."""

    path: str
    family: str
    tensors: int
    parameters: dict[str, int]
    dtypes: dict[str, int]
    sizes: dict[str, object]
    rank: int | None
    loads_with: str
    problem: str | None = None


def inspect_file(path: Path) -> Inspection:
    """Inspect a weight file or diffusers folder. Raises CheckpointError when it is neither FLUX nor USO weights."""
    file = open_weights(path)
    family = family_of(file)
    sizes: dict[str, object] = {}
    rank: int | None = None
    problem: str | None = None
    try:
        sizes, rank = _measure(file, family)
    except CheckpointError as error:
        problem = str(error)
    loads_with = READABLE[family]
    if _comfyui(file, family, sizes):
        loads_with += ", ComfyUI"
    return Inspection(
        path=str(path),
        family=family.value,
        tensors=len(file.tensors),
        parameters=_parameters(file),
        dtypes=dict(Counter(info.dtype for info in file.tensors.values())),
        sizes=sizes,
        rank=rank,
        loads_with="nothing as it is" if problem else loads_with,
        problem=problem,
    )


def _measure(file: WeightFile, family: Family) -> tuple[dict[str, object], int | None]:
    """Return what the file states of its network, and the LoRA's rank; raise when it would not load."""
    if family in (Family.BFL, Family.DIFFUSERS):
        shape = base_shape(file, family)
        require(file, bfl_entries(shape) if family is Family.BFL else diffusers_entries(shape), f"a {family}")
        return {name: value for name, value in asdict(shape).items() if name != "style"}, None
    if family is Family.LORA:
        rank, sites = lora_shape(file)
        require(file, lora_entries(sites, rank), f"a whole rank {rank} LoRA of its blocks")
        return {"hidden": sites[0].inputs, "matrices": len(sites), "blocks": len({site.block for site in sites})}, rank
    if family is Family.PROJECTOR:
        style, hidden = style_shape(file), projector_hidden(file)
        require(file, projector_entries(style, hidden), "a whole projector")
        return {
            "tokens_in": style.tokens_in,
            "tokens_out": style.tokens_out,
            "width": style.width,
            "hidden": hidden,
        }, None
    stated, rank = stated_shape(file)
    return asdict(stated), rank


def _parameters(file: WeightFile) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for key, info in file.tensors.items():
        part = _PARTS.get(key.partition("/")[0], "all") if "/" in key else "all"
        counts[part] += prod(info.shape)
    return dict(counts)


def _comfyui(file: WeightFile, family: Family, sizes: dict[str, object]) -> bool:
    flux = PRESETS["flux-dev"]
    if family is Family.LORA:
        return sizes.get("hidden") == flux.hidden and all(mark in file.tensors for mark in COMFYUI_LORA_MARKS)
    released = asdict(flux.style) | {"hidden": flux.hidden}
    return family is Family.PROJECTOR and bool(sizes) and all(released[name] == size for name, size in sizes.items())
