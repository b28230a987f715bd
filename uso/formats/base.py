"""The base weights in their two layouts: BFL's single file, and the diffusers folder.

Key names of the former are those of `flux1-dev.safetensors`, of the latter those of `FluxTransformer2DModel`.
"""

from __future__ import annotations

from uso.formats.layout import Entry, Piece, entry, network_shapes
from uso.presets import MLP_RATIO, TIME_WIDTH, NetworkShape


def _linear(key: str, outputs: int, inputs: int, *names: str) -> list[Entry]:
    return [
        entry(f"{key}.weight", (outputs, inputs), *(f"{name}.weight" for name in names)),
        entry(f"{key}.bias", (outputs,), *(f"{name}.bias" for name in names)),
    ]


def _embedders(shape: NetworkShape) -> list[tuple[str, str, int]]:
    embedders = [
        ("time_in", "timestep_embedder", TIME_WIDTH),
        ("vector_in", "text_embedder", shape.pooled_width),
    ]
    return [*embedders, ("guidance_in", "guidance_embedder", TIME_WIDTH)] if shape.guidance else embedders


def bfl_entries(shape: NetworkShape) -> list[Entry]:
    """Return the tensors of a BFL file (`flux1-dev.safetensors`) of this shape."""
    hidden, mlp, head = shape.hidden, MLP_RATIO * shape.hidden, (shape.head_dim,)
    entries = [
        *_linear("img_in", hidden, shape.token_width, "x_embedder"),
        *_linear("txt_in", hidden, shape.text_width, "context_embedder"),
    ]
    for key, name, width in _embedders(shape):
        entries += _linear(f"{key}.in_layer", hidden, width, f"time_text_embed.{name}.linear_1")
        entries += _linear(f"{key}.out_layer", hidden, hidden, f"time_text_embed.{name}.linear_2")
    for index in range(shape.double):
        file, ours = f"double_blocks.{index}", f"transformer_blocks.{index}"
        for stream, norm, qkv, out, qk, feed in (
            ("img", "norm1", "to_qkv", "to_out.0", "norm", "ff"),
            ("txt", "norm1_context", "to_added_qkv", "to_add_out", "norm_added", "ff_context"),
        ):
            entries += _linear(f"{file}.{stream}_mod.lin", 6 * hidden, hidden, f"{ours}.{norm}.linear")
            entries += _linear(f"{file}.{stream}_attn.qkv", 3 * hidden, hidden, f"{ours}.attn.{qkv}")
            entries += _linear(f"{file}.{stream}_attn.proj", hidden, hidden, f"{ours}.attn.{out}")
            entries.append(entry(f"{file}.{stream}_attn.norm.query_norm.scale", head, f"{ours}.attn.{qk}_q.weight"))
            entries.append(entry(f"{file}.{stream}_attn.norm.key_norm.scale", head, f"{ours}.attn.{qk}_k.weight"))
            entries += _linear(f"{file}.{stream}_mlp.0", mlp, hidden, f"{ours}.{feed}.net.0.proj")
            entries += _linear(f"{file}.{stream}_mlp.2", hidden, mlp, f"{ours}.{feed}.net.2")
    for index in range(shape.single):
        file, ours = f"single_blocks.{index}", f"single_transformer_blocks.{index}"
        entries += _linear(f"{file}.modulation.lin", 3 * hidden, hidden, f"{ours}.norm.linear")
        for kind, tail in (("weight", (hidden,)), ("bias", ())):
            pieces = (Piece(f"{ours}.attn.to_qkv.{kind}", 0, 3 * hidden), Piece(f"{ours}.proj_mlp.{kind}", 0, mlp))
            entries.append(Entry(f"{file}.linear1.{kind}", (3 * hidden + mlp, *tail), pieces))
        entries += _linear(f"{file}.linear2", hidden, hidden + mlp, f"{ours}.proj_out")
        entries.append(entry(f"{file}.norm.query_norm.scale", head, f"{ours}.attn.norm_q.weight"))
        entries.append(entry(f"{file}.norm.key_norm.scale", head, f"{ours}.attn.norm_k.weight"))
    for kind, tail in (("weight", (hidden,)), ("bias", ())):
        # BFL modulates by (shift, scale), diffusers by (scale, shift).
        name = f"norm_out.linear.{kind}"
        halves = (Piece(name, hidden, 2 * hidden), Piece(name, 0, hidden))
        entries.append(Entry(f"final_layer.adaLN_modulation.1.{kind}", (2 * hidden, *tail), halves))
    return entries + _linear("final_layer.linear", shape.token_width, hidden, "proj_out")


def diffusers_entries(shape: NetworkShape) -> list[Entry]:
    """Return the tensors of a diffusers `FluxTransformer2DModel` of this shape: ours, with unfused projections."""
    entries = []
    for name, size in base_shapes(shape).items():
        module, _, kind = name.rpartition(".")
        stem, _, last = module.rpartition(".")
        names = {"to_qkv": ("to_q", "to_k", "to_v"), "to_added_qkv": ("add_q_proj", "add_k_proj", "add_v_proj")}
        if last not in names:
            entries.append(entry(name, size, name))
            continue
        rows = size[0] // 3
        for part, unfused in enumerate(names[last]):
            piece = Piece(name, part * rows, (part + 1) * rows)
            entries.append(Entry(f"{stem}.{unfused}.{kind}", (rows, *size[1:]), (piece,)))
    return entries


def base_shapes(shape: NetworkShape) -> dict[str, tuple[int, ...]]:
    """Return name and shape of every base tensor of our network: all but the projector's and the LoRA's."""
    return network_shapes(bfl_entries(shape))
