"""Which matrices of the network carry USO's LoRA, and what the released file calls them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from uso.presets import MLP_RATIO, NetworkShape

ADAPTER = "uso"
"""Name of the adapter inside peft's layers."""


@dataclass(frozen=True)
class LoraSite:
    """One matrix that carries a LoRA: its name in the released file, its module, and its sizes."""

    release_key: str
    module: str
    inputs: int
    outputs: int

    @property
    def block(self) -> str:
        """Return the block's name in the released file, e.g. `double_blocks.0`."""
        return self.release_key.partition(".processor.")[0]


def lora_sites(shape: NetworkShape) -> list[LoraSite]:
    """Return every matrix that USO trains: four in a double block, two in a single one (USO release, 304 tensors)."""
    return block_sites(shape.hidden, range(shape.double), range(shape.single))


def block_sites(hidden: int, double: Iterable[int], single: Iterable[int]) -> list[LoraSite]:
    """Return the sites of these double and single blocks of a network of this hidden width."""
    sites = []
    for index in double:
        file, module = f"double_blocks.{index}.processor", f"transformer_blocks.{index}.attn"
        sites += [
            LoraSite(f"{file}.qkv_lora1", f"{module}.to_qkv", hidden, 3 * hidden),
            LoraSite(f"{file}.qkv_lora2", f"{module}.to_added_qkv", hidden, 3 * hidden),
            LoraSite(f"{file}.proj_lora1", f"{module}.to_out.0", hidden, hidden),
            LoraSite(f"{file}.proj_lora2", f"{module}.to_add_out", hidden, hidden),
        ]
    for index in single:
        file, module = f"single_blocks.{index}.processor", f"single_transformer_blocks.{index}"
        sites += [
            LoraSite(f"{file}.qkv_lora", f"{module}.attn.to_qkv", hidden, 3 * hidden),
            LoraSite(f"{file}.proj_lora", f"{module}.proj_out", (1 + MLP_RATIO) * hidden, hidden),
        ]
    return sites
