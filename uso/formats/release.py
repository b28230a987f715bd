"""The two files of a USO release: `dit_lora.safetensors` and `projector.safetensors`."""

from __future__ import annotations

from uso.formats.layout import Entry, entry
from uso.lora_sites import ADAPTER, LoraSite
from uso.presets import StyleShape

PROJECTOR_PREFIX = "feature_embedder."

COMFYUI_LORA_MARKS = (
    "single_blocks.37.processor.qkv_lora.up.weight",
    "double_blocks.18.processor.qkv_lora2.up.weight",
)
"""ComfyUI (0.3.57 and later) takes a file for a USO LoRA when it holds both keys."""


def lora_entries(sites: list[LoraSite], rank: int) -> list[Entry]:
    """Return the tensors of a release's LoRA file: a down and an up matrix for each site."""
    entries = []
    for site in sites:
        entries.append(
            entry(f"{site.release_key}.down.weight", (rank, site.inputs), f"{site.module}.lora_A.{ADAPTER}.weight")
        )
        entries.append(
            entry(f"{site.release_key}.up.weight", (site.outputs, rank), f"{site.module}.lora_B.{ADAPTER}.weight")
        )
    return entries


def projector_entries(style: StyleShape, hidden: int) -> list[Entry]:
    """Return the tensors of a release's projector file; the network has them under the same names."""
    sizes = {
        "embedding_linear.0.weight": (style.tokens_out, style.tokens_in),
        "embedding_linear.0.bias": (style.tokens_out,),
        "layer_norm.weight": (style.width,),
        "layer_norm.bias": (style.width,),
        "projection.weight": (hidden, style.width),
        "projection.bias": (hidden,),
    }
    keys = {
        f"{PROJECTOR_PREFIX}{level}_{name}": size for level in ("high", "mid", "low") for name, size in sizes.items()
    }
    return [entry(key, size, key) for key, size in keys.items()]
