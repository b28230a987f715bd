"""Which kind of weight file a header belongs to, and the sizes it states."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum

from uso.formats.safefile import CheckpointError, TensorInfo, WeightFile, first_few
from uso.lora_sites import LoraSite, block_sites
from uso.presets import NetworkShape, StyleShape, rope_axes


class Family(StrEnum):
    """Kinds of weight files that can be told from their keys."""

    BFL = "BFL base (flux1-dev.safetensors)"
    DIFFUSERS = "diffusers base (FluxTransformer2DModel)"
    LORA = "USO LoRA (dit_lora.safetensors)"
    PROJECTOR = "USO projector (projector.safetensors)"
    REFERENCE = "USO reference vectors"


READABLE = {
    Family.BFL: "`triptych sample --base`, `triptych model convert`, BFL's flux, ComfyUI",
    Family.DIFFUSERS: "`triptych sample --base`, `triptych model convert`, diffusers' FluxTransformer2DModel",
    Family.LORA: "`triptych sample --lora`, `triptych model convert`, USO's own code",
    Family.PROJECTOR: "`triptych sample --projector`, `triptych model convert`, USO's own code",
    Family.REFERENCE: "`triptych model check-reference`",
}
"""What loads a file of each family."""

_FOREIGN = (
    (r"\.scale_weight$|\.weight_scale$|\.absmax$|\.quant_map$", "a quantised checkpoint; take the bf16 original"),
    (r"^(model\.)?diffusion_model\.", "a ComfyUI checkpoint, keys under a `diffusion_model.` prefix"),
    (r"^module\.", "saved from a distributed wrapper, keys under a `module.` prefix"),
    (r"^transformer\..*lora_[AB]", "a diffusers FLUX LoRA, not USO's"),
    (r"^lora_(unet|transformer)_", "a kohya FLUX LoRA, not USO's"),
    (r"lora_(A|B|up|down)", "a LoRA of another kind"),
    (r"^transformer\.", "saved from a pipeline, keys under a `transformer.` prefix"),
    (r"^decoder\.(conv_in|mid_block|mid)\b", "an autoencoder: pass it as the VAE"),
    (r"^encoder\.block\.|^shared\.weight$", "a T5 text encoder"),
    (r"^text_model\.", "a CLIP text encoder"),
    (r"^vision_model\.", "a vision tower"),
)


def foreign_kind(keys: Mapping[str, object]) -> str | None:
    """Return what a file that is none of ours seems to be, None when nothing is known of it."""
    return next((kind for pattern, kind in _FOREIGN if any(re.search(pattern, key) for key in keys)), None)


def family_of(file: WeightFile) -> Family:
    """Return the family of a weight file. Raises CheckpointError, saying what the file seems to be, on any other."""
    keys = file.tensors
    if any(key.startswith("flow/") for key in keys):
        return Family.REFERENCE
    if "img_in.weight" in keys or any(key.startswith("double_blocks.0.img_") for key in keys):
        return Family.BFL
    if any(re.match(r"(double|single)_blocks\.\d+\.processor\.(qkv|proj)_lora", key) for key in keys):
        return Family.LORA
    if any(key.startswith("feature_embedder.") for key in keys):
        return Family.PROJECTOR
    if "x_embedder.weight" in keys or any(key.startswith("transformer_blocks.0.") for key in keys):
        return Family.DIFFUSERS
    if not keys:
        raise CheckpointError(f"{file.path}: holds no tensors")
    kind = foreign_kind(keys)
    raise CheckpointError(
        f"{file.path}: neither FLUX nor USO weights; it holds {first_few(list(keys))}"
        + (f", so it seems to be {kind}" if kind else "")
    )


def base_shape(file: WeightFile, family: Family, axes: tuple[int, int, int] | None = None) -> NetworkShape:
    """Return the shape of the base in a BFL or diffusers file; the style projector keeps its released size.

    Rope axes are in no BFL file: without `axes` they are FLUX's split of the head width. Raises CheckpointError when
    a tensor that states a size is missing, or when the sizes make no network.
    """
    bfl = family is Family.BFL
    sizes = _Sizes(file)
    prefixes = ("double_blocks", "single_blocks") if bfl else ("transformer_blocks", "single_transformer_blocks")
    double, single = (len(blocks_of(file.tensors, prefix)) for prefix in prefixes)
    names = {
        "image": "img_in.weight" if bfl else "x_embedder.weight",
        "text": "txt_in.weight" if bfl else "context_embedder.weight",
        "pooled": "vector_in.in_layer.weight" if bfl else "time_text_embed.text_embedder.linear_1.weight",
        "double": "double_blocks.0.img_attn.norm.query_norm.scale"
        if bfl
        else "transformer_blocks.0.attn.norm_q.weight",
        "single": "single_blocks.0.norm.query_norm.scale" if bfl else "single_transformer_blocks.0.attn.norm_q.weight",
    }
    hidden, token_width = sizes.pair(names["image"])
    head_dim = sizes.length(names["double" if double else "single"])
    guidance = "guidance_in.in_layer.weight" if bfl else "time_text_embed.guidance_embedder.linear_1.weight"
    stated = file.config.get("axes_dims_rope")
    try:
        if axes is None and isinstance(stated, list):
            first, second, third = (int(axis) for axis in stated)
            axes = (first, second, third)
        if token_width % 4:
            raise ValueError(f"tokens of width {token_width} are no 2 x 2 patches")
        return NetworkShape(
            hidden=hidden,
            heads=hidden // head_dim,
            axes=axes or rope_axes(head_dim),
            double=double,
            single=single,
            text_width=sizes.pair(names["text"])[1],
            pooled_width=sizes.pair(names["pooled"])[1],
            latent_channels=token_width // 4,
            guidance=guidance in file.tensors,
        )
    except CheckpointError:
        raise
    except (ValueError, TypeError, ZeroDivisionError) as error:
        raise CheckpointError(f"{file.path}: its sizes make no network: {error}") from error


def style_shape(file: WeightFile, layers: tuple[int, int, int] = StyleShape().layers) -> StyleShape:
    """Return the shape of the projector in a projector file; the vision layers are in no file."""
    sizes = _Sizes(file)
    tokens_out, tokens_in = sizes.pair("feature_embedder.high_embedding_linear.0.weight")
    width = sizes.length("feature_embedder.high_layer_norm.weight")
    try:
        return StyleShape(tokens_in, tokens_out, width, layers)
    except ValueError as error:
        raise CheckpointError(f"{file.path}: its sizes make no projector: {error}") from error


def projector_hidden(file: WeightFile) -> int:
    """Return the width of the network that a projector file is for."""
    return _Sizes(file).length("feature_embedder.high_projection.bias")


def lora_shape(file: WeightFile) -> tuple[int, list[LoraSite]]:
    """Return the rank of a LoRA file, and the sites of every block that it names at all.

    Raises CheckpointError when it holds no down matrix that states rank and width.
    """
    downs = [key for key in file.tensors if key.endswith(".down.weight") and "proj_lora." not in key]
    if not downs:
        raise CheckpointError(f"{file.path}: holds no down matrix of an attention LoRA, which states its rank")
    rank, hidden = _Sizes(file).pair(downs[0])
    return rank, block_sites(hidden, blocks_of(file.tensors, "double_blocks"), blocks_of(file.tensors, "single_blocks"))


def blocks_of(keys: Mapping[str, object], prefix: str) -> list[int]:
    """Return the numbers of the blocks that keys name under a prefix, rising."""
    return sorted({int(match[1]) for key in keys if (match := re.match(rf"{prefix}\.(\d{{1,6}})\.", key))})


class _Sizes:
    """Sizes that the tensors of a file state."""

    def __init__(self, file: WeightFile) -> None:
        self.file = file

    def pair(self, key: str) -> tuple[int, int]:
        shape = self._shape(key, 2)
        return shape[0], shape[1]

    def length(self, key: str) -> int:
        return self._shape(key, 1)[0]

    def _shape(self, key: str, axes: int) -> tuple[int, ...]:
        info: TensorInfo | None = self.file.tensors.get(key)
        if info is None:
            raise CheckpointError(f"{self.file.path}: {key} is missing, which states a size of the network")
        if len(info.shape) != axes or min(info.shape) < 1:
            raise CheckpointError(f"{self.file.path}: {key} has shape {list(info.shape)}, which states no size")
        return info.shape
