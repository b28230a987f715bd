"""Weight files turned into one another, tensor by tensor, without building a network."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

import torch
from torch import Tensor

from uso.checkpoint import comfyui_lora, comfyui_projector, diffusers_config, read_base
from uso.formats.base import base_shapes, bfl_entries, diffusers_entries
from uso.formats.compare import require
from uso.formats.family import Family, family_of, lora_shape, projector_hidden, style_shape
from uso.formats.layout import read_entries, write_entries
from uso.formats.release import lora_entries, projector_entries
from uso.formats.safefile import (
    SHARD_BYTES,
    CheckpointError,
    WeightFile,
    cast,
    open_weights,
    write_folder,
    write_weights,
)
from uso.lora_sites import ADAPTER, lora_sites
from uso.presets import NetworkShape


class Target(StrEnum):
    """What a weight file can be turned into."""

    BFL = "bfl"
    DIFFUSERS = "diffusers"
    RELEASE = "release"
    COMFYUI = "comfyui"


def convert(
    source: Path,
    target: Target,
    destination: Path,
    *,
    merge: Path | None = None,
    dtype: torch.dtype | None = None,
    axes: tuple[int, int, int] | None = None,
    shard_bytes: int = SHARD_BYTES,
) -> str:
    """Write `source` as `target` and return in words what was written.

    A base becomes a BFL file or a diffusers folder, with the USO LoRA `merge` added to it if given. A USO LoRA or
    projector becomes a release's file again (say, in another `dtype`) or the file that ComfyUI recognises; for
    ComfyUI, LoRA blocks that are missing become zeros. Without `dtype` and `merge` every value stays as it is, bit for
    bit. Raises CheckpointError when the source is no such file, or cannot become the target.
    """
    file = open_weights(source)
    family = family_of(file)
    if family in (Family.BFL, Family.DIFFUSERS):
        if target not in (Target.BFL, Target.DIFFUSERS):
            raise CheckpointError(f"{source}: is a {family}, which becomes bfl or diffusers, not {target.value}")
        shape, state = read_base(file, axes)
        if merge is not None:
            state = merged(shape, state, open_weights(merge))
        return _write_base(shape, cast(state, dtype), target, destination, shard_bytes)
    if target not in (Target.RELEASE, Target.COMFYUI) or merge is not None:
        raise CheckpointError(f"{source}: is a {family}, which becomes release or comfyui, and merges nothing")
    if family is Family.LORA:
        tensors = _lora(file, target)
    elif family is Family.PROJECTOR:
        tensors = _projector(file, target)
    else:
        raise CheckpointError(f"{source}: is a {family}, which becomes nothing else")
    write_weights(destination, cast(tensors, dtype))
    return f"{family} with {len(tensors)} tensors"


def merged(shape: NetworkShape, state: Mapping[str, Tensor], lora: WeightFile) -> dict[str, Tensor]:
    """Return a base with a USO LoRA added: W + up @ down, in float32 before rounding to W's dtype."""
    if (family := family_of(lora)) is not Family.LORA:
        raise CheckpointError(f"{lora.path}: is a {family}, where a {Family.LORA} is needed")
    rank, _ = lora_shape(lora)
    sites = lora_sites(shape)
    entries = lora_entries(sites, rank)
    require(lora, entries, f"a rank {rank} LoRA of this base")
    pairs = read_entries(entries, lora.read())
    result = dict(state)
    for site in sites:
        weight = state[f"{site.module}.weight"]
        down, up = (pairs[f"{site.module}.lora_{side}.{ADAPTER}.weight"].float() for side in "AB")
        result[f"{site.module}.weight"] = (weight.float() + up @ down).to(weight.dtype)
    return result


def _write_base(
    shape: NetworkShape, state: Mapping[str, Tensor], target: Target, destination: Path, shard_bytes: int
) -> str:
    assert set(state) == set(base_shapes(shape))
    if target is Target.BFL:
        tensors = write_entries(bfl_entries(shape), state)
        write_weights(destination, tensors)
        return f"{Family.BFL} with {len(tensors)} tensors"
    tensors = write_entries(diffusers_entries(shape), state)
    write_folder(destination, tensors, diffusers_config(shape), shard_bytes)
    return f"{Family.DIFFUSERS} with {len(tensors)} tensors"


def _lora(file: WeightFile, target: Target) -> dict[str, Tensor]:
    rank, sites = lora_shape(file)
    require(file, lora_entries(sites, rank), f"a whole rank {rank} LoRA of its blocks")
    tensors = file.read()
    return comfyui_lora(sites, rank, tensors) if target is Target.COMFYUI else tensors


def _projector(file: WeightFile, target: Target) -> dict[str, Tensor]:
    style, hidden = style_shape(file), projector_hidden(file)
    require(file, projector_entries(style, hidden), "a whole projector")
    tensors = file.read()
    return comfyui_projector(style, hidden, tensors) if target is Target.COMFYUI else tensors
