"""Reading a file of reference vectors: what the original network computes on a small random model."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

from uso.formats.base import bfl_entries
from uso.formats.compare import require
from uso.formats.layout import read_entries
from uso.formats.release import lora_entries, projector_entries
from uso.formats.safefile import CheckpointError, WeightFile, first_few, open_weights
from uso.lora import add_lora
from uso.lora_sites import lora_sites
from uso.network import USOTransformer, empty_network
from uso.position_ids import ID_SHIFTS, IdShift
from uso.presets import NetworkShape, StyleShape
from uso.projector import StyleFeatures
from uso.velocity import Conditions

CASES: dict[str, tuple[int, int]] = {
    "t2i": (0, 0),
    "content": (1, 0),
    "style": (0, 1),
    "two_styles": (0, 2),
    "content_style": (1, 1),
    "two_contents_style": (2, 1),
}
"""The velocity cases: how many content and how many style references each takes, from the first on."""

_HIDDEN = re.compile(r"in/style(\d+)/hidden(-?\d+)")
_VELOCITY = re.compile(r"out/(\w+?)(?:/pe_([dhwo]))?/velocity")


@dataclass(frozen=True)
class Reference:
    """A file of reference vectors: the shape of its network, the LoRA's rank, and all its tensors."""

    path: Path
    shape: NetworkShape
    rank: int
    tensors: Mapping[str, Tensor]

    def conditions(self, contents: int, styles: int) -> Conditions:
        """Return the file's conditions with its first content and style references."""
        layers = self.shape.style.layers
        return Conditions(
            text=self.tensors["in/txt"],
            pooled=self.tensors["in/vec"],
            contents=tuple(self.tensors[f"in/content{index}"] for index in range(contents)),
            styles=tuple(
                StyleFeatures(*(self.tensors[f"in/style{index}/hidden{layer}"] for layer in layers))
                for index in range(styles)
            ),
        )

    def outputs(self) -> list[str]:
        """Return the names of all outputs."""
        return [key for key in self.tensors if key.startswith("out/")]

    def network(self) -> USOTransformer:
        """Return our network with the file's base, LoRA and projector, in memory of its own."""
        network = empty_network(self.shape)
        base = read_entries(bfl_entries(self.shape), self._under("flow/"))
        projector = read_entries(projector_entries(self.shape.style, self.shape.hidden), self._under("projector/"))
        state = {name: tensor.clone() for name, tensor in (base | projector).items()}
        network.load_state_dict(state, strict=True, assign=True)
        add_lora(network, self.rank)
        lora = read_entries(lora_entries(lora_sites(self.shape), self.rank), self._under("lora/"))
        parameters = dict(network.named_parameters())
        with torch.no_grad():
            for name, tensor in lora.items():
                parameters[name].copy_(tensor)
        return network

    def _under(self, prefix: str) -> dict[str, Tensor]:
        return {key.removeprefix(prefix): tensor for key, tensor in self.tensors.items() if key.startswith(prefix)}


def load_reference(path: Path) -> Reference:
    """Read a file of reference vectors of any size.

    Raises CheckpointError, saying what is wrong, on a malformed one.
    """
    file = open_weights(path)
    shape, rank = stated_shape(file)
    mistyped = [f"{key} {info.dtype}" for key, info in file.tensors.items() if info.dtype != "F32"]
    if mistyped:
        raise CheckpointError(f"{path}: reference vectors are float32 (F32), but it holds {first_few(mistyped)}")
    for prefix, entries, what in (
        ("flow/", bfl_entries(shape), "base"),
        ("lora/", lora_entries(lora_sites(shape), rank), "LoRA"),
        ("projector/", projector_entries(shape.style, shape.hidden), "projector"),
    ):
        require(_part(file, prefix), entries, f"a reference whose `{prefix}*` is the {what} that its metadata states")
    outputs = [key for key in file.tensors if key.startswith("out/")]
    unknown = [name for name in outputs if output_group(name, shape, rank) is None]
    if not outputs or unknown:
        what = f"{first_few(unknown)} is no known output" if unknown else "holds no `out/*` to compare with"
        raise CheckpointError(f"{path}: {what}")
    _require_inputs(file, shape, outputs)
    return Reference(path, shape, rank, file.read())


def output_group(name: str, shape: NetworkShape, rank: int) -> str | None:
    """Return the group that an output belongs to, None when its name says nothing to us."""
    if match := _VELOCITY.fullmatch(name):
        return "velocity" if match[1] in CASES else None
    if re.fullmatch(r"out/ids/(target|pe_[dhwo]/content\d+)", name):
        return "ids"
    if re.fullmatch(r"out/sample[1-9]\d{0,3}/(timesteps|packed_latent)", name):
        return "sample"
    trained = [*lora_entries(lora_sites(shape), rank), *projector_entries(shape.style, shape.hidden)]
    gradients = {f"out/train/grad/{item.key}" for item in trained}
    return "train" if name == "out/train/loss" or name in gradients else None


def velocity_case(name: str) -> tuple[int, int, IdShift]:
    """Return how many content and style references a velocity output takes, and how its ids are shifted."""
    match = _VELOCITY.fullmatch(name)
    assert match is not None
    shift: IdShift = next((known for known in ID_SHIFTS if known == match[2]), "d")
    return (*CASES[match[1]], shift)


def _part(file: WeightFile, prefix: str) -> WeightFile:
    tensors = {key.removeprefix(prefix): info for key, info in file.tensors.items() if key.startswith(prefix)}
    return replace(file, tensors=tensors)


def stated_shape(file: WeightFile) -> tuple[NetworkShape, int]:
    """Return the shape and the LoRA's rank that a reference file's metadata states. Raises CheckpointError if none."""
    try:
        stated = json.loads(file.metadata["config"])
        layers = sorted({int(match[2]) for key in file.tensors if (match := _HIDDEN.fullmatch(key))}, reverse=True)
        if len(layers) != len(StyleShape().layers):
            raise ValueError(f"style references have hidden states {layers}, where there are three levels")
        first, second, third = (int(axis) for axis in stated["axes"])
        channels = file.tensors["in/latent"].shape[1]
        shape = NetworkShape(
            hidden=int(stated["H"]),
            heads=int(stated["heads"]),
            axes=(first, second, third),
            double=int(stated["depth"]),
            single=int(stated["single"]),
            text_width=int(stated["ctx"]),
            pooled_width=int(stated["vecd"]),
            latent_channels=channels,
            guidance="flow/guidance_in.in_layer.weight" in file.tensors,
            style=StyleShape(
                int(stated["stok"]), int(stated["ntok"]), int(stated["sdim"]), (layers[0], layers[1], layers[2])
            ),
        )
        rank = int(stated["rank"])
        blocks = sum(1 for key in file.tensors if key.startswith("flow/"))
        if rank < 1 or shape.double + shape.single > blocks:
            raise ValueError(f"rank {rank} and {shape.double} + {shape.single} blocks are not what the file holds")
        return shape, rank
    except KeyError as error:
        raise CheckpointError(f"{file.path}: no reference file, {error} is missing from its metadata") from error
    except (ValueError, TypeError, IndexError, OverflowError) as error:
        raise CheckpointError(f"{file.path}: its metadata states no network: {error}") from error


def _references_needed(outputs: list[str]) -> tuple[int, int]:
    """Return how many content and style references the outputs are computed with."""
    needed = [
        CASES[match[1]] if (match := _VELOCITY.fullmatch(name)) else (0, 0) if name.startswith("out/ids/") else (1, 1)
        for name in outputs
    ]
    listed = [int(match[1]) + 1 for name in outputs if (match := re.search(r"/content(\d{1,3})$", name))]
    return max([*(contents for contents, _ in needed), *listed]), max(styles for _, styles in needed)


def _require_inputs(file: WeightFile, shape: NetworkShape, outputs: list[str]) -> None:
    latent = file.tensors["in/latent"].shape
    if len(latent) != 4 or min(latent) < 1 or latent[2] % 2 or latent[3] % 2:
        raise CheckpointError(f"{file.path}: in/latent has shape {list(latent)}, not [batch, channels, even, even]")
    batch = latent[0]
    exact: dict[str, tuple[int, ...]] = {"in/noise": latent, "in/t": (batch,), "in/guidance": (batch,)}
    exact["in/vec"] = (batch, shape.pooled_width)
    contents, styles = _references_needed(outputs)
    for index in range(styles):
        for layer in shape.style.layers:
            exact[f"in/style{index}/hidden{layer}"] = (batch, shape.style.tokens_in, shape.style.width)
    for key, size in exact.items():
        found = file.tensors.get(key)
        if found is None or found.shape != size:
            raise CheckpointError(
                f"{file.path}: {key} is {list(found.shape) if found else 'missing'}, not {list(size)}"
            )
    text = file.tensors.get("in/txt")
    if text is None or len(text.shape) != 3 or (text.shape[0], text.shape[2]) != (batch, shape.text_width):
        raise CheckpointError(f"{file.path}: in/txt is not [{batch}, tokens, {shape.text_width}]")
    for index in range(contents):
        content = file.tensors.get(f"in/content{index}")
        size = content.shape if content else ()
        if len(size) != 4 or size[:2] != latent[:2] or size[2] % 2 or size[3] % 2:
            raise CheckpointError(f"{file.path}: in/content{index} is not [{batch}, {latent[1]}, even, even]")
