"""The USO transformer: FLUX's MM-DiT with style tokens before the text and reference tokens after the target."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import torch
from diffusers import FluxTransformer2DModel
from diffusers.configuration_utils import register_to_config
from diffusers.hooks.tensor_parallel import PackedColwiseParallel
from diffusers.models._modeling_parallel import ContextParallelInput
from torch import Tensor, nn

from uso.presets import NetworkShape, StyleShape
from uso.projector import HierarchicalProjector, StyleFeatures


class ContextEmbedder(nn.Linear):
    """FLUX's text projection, which also takes (style tokens, text) and puts the style tokens first.

    Style tokens already have the network's width. Doing it here keeps diffusers' own forward pass as it is, and with
    it attention backends, gradient checkpointing, caches and context parallelism.
    """

    def forward(self, input: Tensor | tuple[Tensor, Tensor]) -> Tensor:
        """Return `[B, style tokens + text tokens, hidden]`."""
        if isinstance(input, Tensor):
            return super().forward(input)
        style, text = input
        embedded = super().forward(text)
        return torch.cat([style.to(embedded.dtype), embedded], dim=1)


class USOTransformer(FluxTransformer2DModel):  # type: ignore[misc]  # diffusers carries no types
    """The network of USO (arXiv 2508.18966), a `FluxTransformer2DModel` in which three things differ.

    * The attention projections are fused (`to_qkv`, `to_added_qkv`) from the start, as in the original FLUX files,
      so that a LoRA acts on the fused matrix, and no unfused copy stays behind.
    * `feature_embedder`, the hierarchical style projector, turns vision features into tokens before the text.
    * Only the layout of its inputs tells content references from the target: `uso.velocity.predict_velocity` lays
      them out and reads the target's tokens.

    Build it with `USOTransformer.of(shape)`; read and write its weights with `uso.checkpoint`.
    """

    _cp_plan = {  # noqa: RUF012 - diffusers reads it from the class
        "": {
            "hidden_states": ContextParallelInput(split_dim=1, expected_dims=3, split_output=False),
            "img_ids": ContextParallelInput(split_dim=0, expected_dims=2, split_output=False),
            "txt_ids": ContextParallelInput(split_dim=0, expected_dims=2, split_output=False),
        },
        # Text is split after the style tokens have joined it, so that every rank gets its share of both.
        "context_embedder": {0: ContextParallelInput(split_dim=1, expected_dims=3, split_output=True)},
        "proj_out": FluxTransformer2DModel._cp_plan["proj_out"],
    }
    _tp_plan = {
        name: style
        for name, style in FluxTransformer2DModel._tp_plan.items()
        if not name.endswith(("to_q", "to_k", "to_v", "add_q_proj", "add_k_proj", "add_v_proj"))
    } | {
        "transformer_blocks.*.attn.to_qkv": PackedColwiseParallel([1, 1, 1]),
        "transformer_blocks.*.attn.to_added_qkv": PackedColwiseParallel([1, 1, 1]),
        "single_transformer_blocks.*.attn.to_qkv": PackedColwiseParallel([1, 1, 1]),
    }

    @register_to_config  # type: ignore[untyped-decorator]
    def __init__(
        self,
        patch_size: int = 1,
        in_channels: int = 64,
        out_channels: int | None = None,
        num_layers: int = 19,
        num_single_layers: int = 38,
        attention_head_dim: int = 128,
        num_attention_heads: int = 24,
        joint_attention_dim: int = 4096,
        pooled_projection_dim: int = 768,
        guidance_embeds: bool = True,
        axes_dims_rope: tuple[int, int, int] = (16, 56, 56),
        style_tokens_in: int = 729,
        style_tokens_out: int = 64,
        style_width: int = 1152,
        style_layers: tuple[int, int, int] = (-2, -11, -20),
    ) -> None:
        super().__init__(
            patch_size=patch_size,
            in_channels=in_channels,
            out_channels=out_channels,
            num_layers=num_layers,
            num_single_layers=num_single_layers,
            attention_head_dim=attention_head_dim,
            num_attention_heads=num_attention_heads,
            joint_attention_dim=joint_attention_dim,
            pooled_projection_dim=pooled_projection_dim,
            guidance_embeds=guidance_embeds,
            axes_dims_rope=axes_dims_rope,
        )
        self.shape = NetworkShape(
            hidden=num_attention_heads * attention_head_dim,
            heads=num_attention_heads,
            axes=_triple(axes_dims_rope),
            double=num_layers,
            single=num_single_layers,
            text_width=joint_attention_dim,
            pooled_width=pooled_projection_dim,
            latent_channels=in_channels // 4,
            guidance=guidance_embeds,
            style=StyleShape(style_tokens_in, style_tokens_out, style_width, _triple(style_layers)),
        )
        self.context_embedder = ContextEmbedder(joint_attention_dim, self.inner_dim)
        self.feature_embedder = HierarchicalProjector(self.shape.style, self.inner_dim)
        for block in (*self.transformer_blocks, *self.single_transformer_blocks):
            _fuse_projections(block.attn)

    @classmethod
    def of(cls, shape: NetworkShape) -> USOTransformer:
        """Return a network of this shape with fresh weights, on the current default device."""
        network: USOTransformer = cls(
            in_channels=shape.token_width,
            num_layers=shape.double,
            num_single_layers=shape.single,
            attention_head_dim=shape.head_dim,
            num_attention_heads=shape.heads,
            joint_attention_dim=shape.text_width,
            pooled_projection_dim=shape.pooled_width,
            guidance_embeds=shape.guidance,
            axes_dims_rope=shape.axes,
            style_tokens_in=shape.style.tokens_in,
            style_tokens_out=shape.style.tokens_out,
            style_width=shape.style.width,
            style_layers=shape.style.layers,
        )
        return network

    @classmethod
    def from_pretrained(cls, source: str | os.PathLike[str], **options: Any) -> Any:
        """Load what `save_pretrained` wrote, whole or not at all; options and result are diffusers'.

        Raises ValueError when weights are missing, left over or of another shape, where diffusers would only warn:
        FLUX's own files have other names, and are loaded by `uso.checkpoint.load_network`.
        """
        network, info = super().from_pretrained(source, **options | {"output_loading_info": True})
        wrong = [*info["missing_keys"], *info["unexpected_keys"], *info["mismatched_keys"]]
        if wrong:
            raise ValueError(
                f"{source}: {len(wrong)} weights are missing, unexpected or of another shape ({wrong[0]}, ...); "
                "load files of FLUX and USO with uso.checkpoint.load_network"
            )
        return (network, info) if options.get("output_loading_info") else network

    def style_tokens(self, styles: Sequence[StyleFeatures]) -> Tensor:
        """Return the tokens `[B, 3 * tokens_out * len(styles), hidden]` of one or more style images, in their order."""
        return torch.cat([self.feature_embedder(features) for features in styles], dim=1)

    def forward(
        self,
        hidden_states: Tensor,
        encoder_hidden_states: Tensor,
        pooled_projections: Tensor,
        timestep: Tensor,
        img_ids: Tensor,
        txt_ids: Tensor,
        guidance: Tensor | None = None,
        joint_attention_kwargs: dict[str, Any] | None = None,
        styles: Sequence[StyleFeatures] = (),
        return_dict: bool = True,
        **controls: Any,
    ) -> Any:
        """Return the velocity of every image token, as `FluxTransformer2DModel.forward` does.

        `hidden_states` `[B, N, 4 C]` holds the target's tokens, then those of each content reference; `img_ids`
        `[N, 3]` are their ids. `txt_ids` `[S + L, 3]` are zeros for the S style tokens and the L text tokens of
        `encoder_hidden_states` `[B, L, text_width]`. `timestep` and `guidance` are `[B]`, time in 0..1.
        """
        context = (self.style_tokens(styles), encoder_hidden_states) if styles else encoder_hidden_states
        return super().forward(
            hidden_states=hidden_states,
            encoder_hidden_states=context,
            pooled_projections=pooled_projections,
            timestep=timestep,
            img_ids=img_ids,
            txt_ids=txt_ids,
            guidance=guidance,
            joint_attention_kwargs=joint_attention_kwargs,
            return_dict=return_dict,
            **controls,
        )


def _fuse_projections(attention: Any) -> None:
    """Give FLUX attention a fresh fused projection in place of its three, on both streams.

    diffusers' own fusing leaves the unfused weights behind, 4 GB at full size.
    """
    width = attention.inner_dim
    attention.to_qkv = nn.Linear(attention.query_dim, 3 * width, bias=attention.use_bias)
    del attention.to_q, attention.to_k, attention.to_v
    if attention.added_kv_proj_dim is not None:
        attention.to_added_qkv = nn.Linear(attention.added_kv_proj_dim, 3 * width, bias=attention.added_proj_bias)
        del attention.add_q_proj, attention.add_k_proj, attention.add_v_proj
    attention.fused_projections = True


def _triple(numbers: Sequence[int]) -> tuple[int, int, int]:
    first, second, third = numbers
    return first, second, third


def empty_network(shape: NetworkShape) -> USOTransformer:
    """Return a network on the meta device: names and shapes without memory, to be filled by assignment."""
    with torch.device("meta"):
        network: USOTransformer = USOTransformer.of(shape)
    return network
