"""Reading and writing the weights of a USO network, in the files that the world has of it.

Base weights come as BFL's single file or as a diffusers folder, LoRA and projector as the two files of a USO release.
Every file is held against the network's names and shapes before a byte of its weights is read; a file that does not
fit loads nothing. What is written reads back bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from uso.formats.base import bfl_entries, diffusers_entries
from uso.formats.compare import require
from uso.formats.family import Family, base_shape, family_of, lora_shape, style_shape
from uso.formats.layout import Entry, read_entries, write_entries
from uso.formats.release import COMFYUI_LORA_MARKS, lora_entries, projector_entries
from uso.formats.safefile import (
    SHARD_BYTES,
    CheckpointError,
    WeightFile,
    cast,
    first_few,
    open_weights,
    write_folder,
    write_weights,
)
from uso.lora import add_lora, lora_pairs, lora_rank
from uso.lora_sites import ADAPTER, LoraSite, lora_sites
from uso.network import USOTransformer, empty_network
from uso.presets import PRESETS, NetworkShape, StyleShape

COMFYUI_LORA = "uso-flux1-dit-lora.safetensors"
COMFYUI_PROJECTOR = "uso-flux1-projector.safetensors"


def load_network(
    base: Path,
    *,
    lora: Path | None = None,
    projector: Path | None = None,
    axes: tuple[int, int, int] | None = None,
    style: StyleShape | None = None,
    dtype: torch.dtype | None = None,
    device: torch.device | str = "cpu",
) -> USOTransformer:
    """Return a network with the weights of a base (BFL file or diffusers folder), and a LoRA and projector if given.

    `axes` are needed only where FLUX's split of the head width does not hold. Without a projector file the projector
    has fresh weights, of the size `style` (the released one by default). `style` also states the vision layers, which
    are in no file. Without `dtype` each file's own is kept. Raises CheckpointError on any file that does not fit.
    """
    require_fit(base, lora, projector, axes)
    file = open_weights(base)
    shape, state = read_base(file, axes)
    layers = (style or StyleShape()).layers
    if projector is not None:
        shape = replace(shape, style=style_shape(open_weights(projector), layers))
    elif style is not None:
        shape = replace(shape, style=style)
    network = empty_network(shape)
    fresh = _fresh_projector(network, dtype or next(iter(state.values())).dtype)
    network.load_state_dict(cast(state, dtype) | fresh, strict=True, assign=True)
    network.to(device)
    if projector is not None:
        load_projector(network, projector, dtype=dtype)
    if lora is not None:
        load_lora(network, lora, dtype=dtype)
    network.eval()
    return network


def require_fit(
    base: Path,
    lora: Path | None = None,
    projector: Path | None = None,
    axes: tuple[int, int, int] | None = None,
) -> None:
    """Check from headers alone that these files make one network. Raises CheckpointError, naming the one at fault."""
    shape = _required_shape(open_weights(base), axes)
    if lora is not None:
        adapter = open_weights(lora)
        _require_family(adapter, Family.LORA)
        rank, _ = lora_shape(adapter)
        require(adapter, lora_entries(lora_sites(shape), rank), f"a rank {rank} LoRA of {base.name}")
    if projector is not None:
        branch = open_weights(projector)
        _require_family(branch, Family.PROJECTOR)
        require(branch, projector_entries(style_shape(branch), shape.hidden), f"a projector for {base.name}")


def read_base(file: WeightFile, axes: tuple[int, int, int] | None = None) -> tuple[NetworkShape, dict[str, Tensor]]:
    """Return the shape and the network's tensors of a base file. Raises CheckpointError when it is none."""
    shape = _required_shape(file, axes)
    return shape, read_entries(_base_entries(file, shape), file.read())


def load_lora(network: USOTransformer, path: Path, *, partial: bool = False, dtype: torch.dtype | None = None) -> None:
    """Load a USO LoRA into the network, adding one of the file's rank if there is none.

    Its weights keep the file's dtype unless `dtype` states another. With `partial` the file may hold some of the
    blocks; the others then carry no LoRA. Raises CheckpointError when
    the file is no USO LoRA or does not fit the network, whose weights then are as they were.
    """
    file = open_weights(path)
    _require_family(file, Family.LORA)
    rank, sites = lora_shape(file)
    everywhere = lora_sites(network.shape)
    if not partial or not set(sites) <= set(everywhere):
        sites = everywhere
    entries = lora_entries(sites, rank)
    require(file, entries, f"a rank {rank} LoRA of this network")
    present = {site.module for site, _, _ in lora_pairs(network)}
    if present and (present != {site.module for site in sites} or lora_rank(network) != rank):
        raise CheckpointError(
            f"{path}: has rank {rank} on {len(sites)} matrices, but the network already carries a LoRA of rank "
            f"{lora_rank(network)} on {len(present)}; merge or remove it first"
        )
    tensors = file.read()
    if not present:
        add_lora(network, rank, sites)
    _assign(network, read_entries(entries, tensors), dtype)


def load_projector(network: USOTransformer, path: Path, *, dtype: torch.dtype | None = None) -> None:
    """Load a USO projector into the network, in the file's dtype unless `dtype` states another.

    Raises CheckpointError when the file does not fit it."""
    file = open_weights(path)
    _require_family(file, Family.PROJECTOR)
    entries = _projector_entries(network)
    require(file, entries, "the projector of this network")
    _assign(network, read_entries(entries, file.read()), dtype)


def load_base(network: USOTransformer, path: Path, *, dtype: torch.dtype | None = None) -> None:
    """Load base weights into a network of their shape, with a LoRA or without, in the file's dtype or `dtype`.

    Raises CheckpointError when the file does not fit it.
    """
    _, state = read_base(open_weights(path), network.shape.axes)
    inside = {name.replace(".base_layer.", "."): name for name, _ in network.named_parameters()}
    lacking = [name for name in state if name not in inside]
    if lacking:
        raise CheckpointError(f"{path}: is the base of another network, which has {first_few(lacking)}")
    _assign(network, {inside[name]: tensor for name, tensor in state.items()}, dtype)


def base_state(network: USOTransformer, state: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    """Return the base tensors of a network under their own names, whether or not it carries a LoRA.

    `state` takes the place of the network's own tensors, under the network's names: a running mean, say.
    """
    return {
        name.replace(".base_layer.", "."): tensor
        for name, tensor in (network.state_dict() if state is None else state).items()
        if f".{ADAPTER}." not in name and not name.startswith("feature_embedder.")
    }


def save_bfl(network: USOTransformer, path: Path, dtype: torch.dtype | None = None) -> None:
    """Write the base as a BFL file; a LoRA is left out unless it was merged before."""
    write_weights(path, cast(write_entries(bfl_entries(network.shape), base_state(network)), dtype))


def save_diffusers(
    network: USOTransformer,
    folder: Path,
    dtype: torch.dtype | None = None,
    shard_bytes: int = SHARD_BYTES,
    state: Mapping[str, Tensor] | None = None,
) -> None:
    """Write the base as a folder that diffusers' `FluxTransformer2DModel.from_pretrained` loads.

    Here and below `state` takes the place of the network's own tensors, under the network's names.
    """
    tensors = cast(write_entries(diffusers_entries(network.shape), base_state(network, state)), dtype)
    write_folder(folder, tensors, diffusers_config(network.shape), shard_bytes)


def save_lora(
    network: USOTransformer,
    path: Path,
    dtype: torch.dtype | None = None,
    state: Mapping[str, Tensor] | None = None,
) -> None:
    """Write the LoRA as a release's `dit_lora.safetensors`. Raises ValueError when the network has none."""
    write_weights(path, cast(_lora_tensors(network, state), dtype))


def save_projector(
    network: USOTransformer,
    path: Path,
    dtype: torch.dtype | None = None,
    state: Mapping[str, Tensor] | None = None,
) -> None:
    """Write the projector as a release's `projector.safetensors`."""
    source = network.state_dict() if state is None else state
    write_weights(path, cast(write_entries(_projector_entries(network), source), dtype))


def save_comfyui(network: USOTransformer, folder: Path, dtype: torch.dtype | None = None) -> None:
    """Write LoRA and projector as the two files that ComfyUI recognises; blocks without a LoRA get zeros.

    Raises CheckpointError when the network is not of FLUX.1-dev's size, the only one that ComfyUI takes, and
    ValueError when it has no LoRA.
    """
    if lora_sites(network.shape) != lora_sites(PRESETS["flux-dev"]):
        raise CheckpointError(f"ComfyUI takes USO for FLUX.1-dev alone, not for {network.shape}")
    tensors = _lora_tensors(network)
    sites = [site for site, _, _ in lora_pairs(network)]
    lora = comfyui_lora(sites, lora_rank(network) or 0, tensors)
    projector = write_entries(_projector_entries(network), network.state_dict())
    checked = comfyui_projector(network.shape.style, network.shape.hidden, projector)
    write_weights(folder / COMFYUI_LORA, cast(lora, dtype))
    write_weights(folder / COMFYUI_PROJECTOR, cast(checked, dtype))


def comfyui_lora(sites: Sequence[LoraSite], rank: int, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the LoRA file that ComfyUI recognises: the release's, with zeros for the sites that are not there.

    Raises CheckpointError when the sites are not FLUX.1-dev's.
    """
    everywhere = lora_sites(PRESETS["flux-dev"])
    strange = [site.release_key for site in sites if site not in everywhere]
    if strange:
        raise CheckpointError(f"ComfyUI takes a USO LoRA for FLUX.1-dev alone, which has no {first_few(strange)}")
    dtype = next(iter(tensors.values())).dtype
    whole = {
        item.key: tensors[item.key] if item.key in tensors else torch.zeros(item.shape, dtype=dtype)
        for item in lora_entries(everywhere, rank)
    }
    assert all(mark in whole for mark in COMFYUI_LORA_MARKS)
    return whole


def comfyui_projector(style: StyleShape, hidden: int, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the projector file that ComfyUI recognises: the release's, which must be of the released size.

    Raises CheckpointError when it is not.
    """
    flux = PRESETS["flux-dev"]
    sizes = (style.tokens_in, style.tokens_out, style.width, hidden)
    wanted = (flux.style.tokens_in, flux.style.tokens_out, flux.style.width, flux.hidden)
    if sizes != wanted:
        raise CheckpointError(
            "ComfyUI takes a USO projector of the released size alone (vision tokens, style tokens, vision width, "
            f"hidden width {wanted}), not of {sizes}"
        )
    return dict(tensors)


def diffusers_config(shape: NetworkShape) -> dict[str, object]:
    """Return the `config.json` of the base as a diffusers `FluxTransformer2DModel`."""
    return {
        "_class_name": "FluxTransformer2DModel",
        "attention_head_dim": shape.head_dim,
        "axes_dims_rope": list(shape.axes),
        "guidance_embeds": shape.guidance,
        "in_channels": shape.token_width,
        "joint_attention_dim": shape.text_width,
        "num_attention_heads": shape.heads,
        "num_layers": shape.double,
        "num_single_layers": shape.single,
        "patch_size": 1,
        "pooled_projection_dim": shape.pooled_width,
    }


def _required_shape(file: WeightFile, axes: tuple[int, int, int] | None = None) -> NetworkShape:
    family = family_of(file)
    if family not in (Family.BFL, Family.DIFFUSERS):
        raise CheckpointError(f"{file.path}: is a {family}, where base weights are needed")
    shape = base_shape(file, family, axes)
    require(file, _base_entries(file, shape), f"a {family}")
    return shape


def _base_entries(file: WeightFile, shape: NetworkShape) -> list[Entry]:
    return bfl_entries(shape) if family_of(file) is Family.BFL else diffusers_entries(shape)


def _lora_tensors(network: USOTransformer, state: Mapping[str, Tensor] | None = None) -> dict[str, Tensor]:
    rank = lora_rank(network)
    if rank is None:
        raise ValueError("the network has no LoRA to write")
    sites: list[LoraSite] = [site for site, _, _ in lora_pairs(network)]
    return write_entries(lora_entries(sites, rank), network.state_dict() if state is None else state)


def _projector_entries(network: USOTransformer) -> list[Entry]:
    return projector_entries(network.shape.style, network.shape.hidden)


def _fresh_projector(network: USOTransformer, dtype: torch.dtype) -> dict[str, Tensor]:
    projector = type(network.feature_embedder)(network.shape.style, network.shape.hidden).to(dtype)
    return {f"feature_embedder.{name}": tensor for name, tensor in projector.state_dict().items()}


@torch.no_grad()
def _assign(network: USOTransformer, state: Mapping[str, Tensor], dtype: torch.dtype | None) -> None:
    parameters = dict(network.named_parameters())
    for name, tensor in state.items():
        parameters[name].data = tensor.to(parameters[name].device, dtype or tensor.dtype)


def _require_family(file: WeightFile, family: Family) -> None:
    found = family_of(file)
    if found is not family:
        raise CheckpointError(f"{file.path}: is a {found}, where a {family} is needed")
