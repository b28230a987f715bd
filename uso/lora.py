"""The LoRA of USO on a network, through peft: adding it, merging it, reading it, choosing what is trained."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

import torch
from peft import LoraConfig
from peft.tuners.lora import LoraLayer
from torch import nn

from uso.lora_sites import ADAPTER, LoraSite, lora_sites
from uso.network import USOTransformer
from uso.presets import DEFAULT_LORA_RANK


def add_lora(network: USOTransformer, rank: int = DEFAULT_LORA_RANK, sites: Sequence[LoraSite] | None = None) -> None:
    """Add a LoRA of this rank and scale 1 to the network, on every site or on some; the base is frozen by it.

    A fresh LoRA changes nothing: its up matrices are zero. Raises ValueError when there is one already, or on a rank
    below 1.
    """
    if rank < 1:
        raise ValueError(f"a LoRA has a rank of at least 1, not {rank}")
    if has_lora(network):
        raise ValueError("the network has a LoRA already; merge or remove it first")
    chosen = lora_sites(network.shape) if sites is None else sites
    if not chosen:
        raise ValueError("a LoRA needs at least one matrix to act on")
    # One pattern that only whole names match: peft takes a list for endings of names.
    modules = "|".join(re.escape(site.module) for site in chosen)
    network.add_adapter(LoraConfig(r=rank, lora_alpha=rank, target_modules=modules, bias="none"), adapter_name=ADAPTER)


def has_lora(network: USOTransformer) -> bool:
    """Return whether the network carries a LoRA."""
    return any(isinstance(module, LoraLayer) for module in network.modules())


def lora_pairs(network: USOTransformer) -> Iterator[tuple[LoraSite, nn.Parameter, nn.Parameter]]:
    """Yield (site, down `[rank, inputs]`, up `[outputs, rank]`) of every site that carries a LoRA."""
    for site in lora_sites(network.shape):
        layer = network.get_submodule(site.module)
        if isinstance(layer, LoraLayer):
            yield site, layer.lora_A[ADAPTER].weight, layer.lora_B[ADAPTER].weight


def lora_rank(network: USOTransformer) -> int | None:
    """Return the rank of the network's LoRA, None without one."""
    return next((down.shape[0] for _, down, _ in lora_pairs(network)), None)


@torch.no_grad()
def merge_lora(network: USOTransformer) -> None:
    """Add the LoRA's product to the base matrices, in float32 before rounding to their dtype, and remove it.

    Raises ValueError when there is none.
    """
    if not has_lora(network):
        raise ValueError("the network has no LoRA to merge")
    for site, down, up in list(lora_pairs(network)):
        layer = network.get_submodule(site.module)
        assert isinstance(layer, LoraLayer)
        weight = layer.get_base_layer().weight
        weight.copy_((weight.float() + up.float() @ down.float()).to(weight.dtype))
    network.delete_adapters(ADAPTER)
    network.unload_lora()


def set_trainable(network: USOTransformer, *, base: bool = False, lora: bool = False, projector: bool = False) -> None:
    """Choose what is trained: the base, the LoRA, the projector, any of them; the rest is frozen."""
    for name, parameter in network.named_parameters():
        if name.startswith("feature_embedder."):
            parameter.requires_grad_(projector)
        elif f".{ADAPTER}." in name:
            parameter.requires_grad_(lora)
        else:
            parameter.requires_grad_(base)
