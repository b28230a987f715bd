"""One prediction of the network: conditions laid out as tokens, the velocity read at the target's tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from uso.network import USOTransformer
from uso.packing import pack, token_grid
from uso.position_ids import IdShift, text_ids, unope_ids
from uso.projector import StyleFeatures


@dataclass(frozen=True)
class Conditions:
    """What a batch is conditioned on.

    `text` `[B, L, text_width]` are the T5 tokens and `pooled` `[B, pooled_width]` the CLIP vectors of the prompts;
    `contents` are latents `[B, C, h, w]` of the content references, `styles` the vision features of the style
    images. All samples of a batch have the same number of references, of the same sizes. Raises ValueError when the
    batch sizes differ.
    """

    text: Tensor
    pooled: Tensor
    contents: tuple[Tensor, ...] = ()
    styles: tuple[StyleFeatures, ...] = ()

    def __post_init__(self) -> None:
        named = {"text": self.text, "pooled": self.pooled}
        named |= {f"content {index}": content for index, content in enumerate(self.contents)}
        named |= {f"style {index}": level for index, style in enumerate(self.styles) for level in style}
        wrong = {name: tensor.shape[0] for name, tensor in named.items() if tensor.shape[0] != self.batch}
        if wrong:
            raise ValueError(f"conditions of one batch must agree: text has {self.batch} samples, but {wrong}")

    @property
    def batch(self) -> int:
        """Return the number of samples."""
        return self.text.shape[0]

    def to(self, device: torch.device | str, dtype: torch.dtype) -> Conditions:
        """Return the same conditions on another device, in another dtype."""
        return self._map(lambda tensor: tensor.to(device, dtype))

    def expand(self, batch: int) -> Conditions:
        """Return conditions of a single sample repeated `batch` times. Raises ValueError on more than one sample."""
        if self.batch != 1:
            raise ValueError(f"only one sample can be repeated, not {self.batch}")
        return self._map(lambda tensor: tensor.expand(batch, *tensor.shape[1:]))

    @staticmethod
    def stack(conditions: Sequence[Conditions]) -> Conditions:
        """Return several conditions as one batch; all have references of the same number and sizes."""
        first = conditions[0]
        return Conditions(
            text=torch.cat([each.text for each in conditions]),
            pooled=torch.cat([each.pooled for each in conditions]),
            contents=tuple(
                torch.cat([each.contents[index] for each in conditions]) for index in range(len(first.contents))
            ),
            styles=tuple(
                StyleFeatures(
                    *(torch.cat([each.styles[index][level] for each in conditions]) for level in range(len(style)))
                )
                for index, style in enumerate(first.styles)
            ),
        )

    @property
    def layout(self) -> tuple[tuple[int, ...], ...]:
        """Return the shapes of text, references and styles without the batch; equal ones can be stacked."""
        tensors = (self.text, *self.contents, *(style.high for style in self.styles))
        return tuple(tensor.shape[1:] for tensor in tensors)

    def _map(self, change: Callable[[Tensor], Tensor]) -> Conditions:
        return replace(
            self,
            text=change(self.text),
            pooled=change(self.pooled),
            contents=tuple(change(content) for content in self.contents),
            styles=tuple(StyleFeatures(*(change(level) for level in style)) for style in self.styles),
        )


def predict_velocity(
    network: USOTransformer,
    latent: Tensor,
    time: Tensor,
    guidance: Tensor | None,
    conditions: Conditions,
    shift: IdShift = "d",
    joint_attention_kwargs: dict[str, Any] | None = None,
) -> Tensor:
    """Return the velocity `[B, target tokens, 4 C]` of a noisy latent `[B, C, h, w]` at times `[B]` in 0..1.

    Content tokens are appended to the target's, under UnoPE ids; style tokens stand before the text's, and both have
    zero ids (USO 3.3). `guidance` `[B]` is the distilled guidance scale: 4 when sampling, 1 when training; None for a
    network without it. Raises ValueError when the network's shape and the inputs do not fit.
    """
    _check_inputs(network, latent, guidance, conditions)
    target_grid = token_grid(latent)
    target_ids, content_ids = unope_ids(target_grid, [token_grid(content) for content in conditions.contents], shift)
    tokens = torch.cat([pack(latent), *(pack(content).to(latent) for content in conditions.contents)], dim=1)
    style_count = network.shape.style.tokens * len(conditions.styles)
    velocity: Tensor = network(
        hidden_states=tokens,
        encoder_hidden_states=conditions.text,
        pooled_projections=conditions.pooled,
        timestep=time,
        img_ids=torch.cat([target_ids, *content_ids]).to(latent.device),
        txt_ids=text_ids(style_count + conditions.text.shape[1]).to(latent.device),
        guidance=guidance,
        joint_attention_kwargs=joint_attention_kwargs,
        styles=conditions.styles,
        return_dict=False,
    )[0]
    return velocity[:, : target_grid[0] * target_grid[1]]


def _check_inputs(network: USOTransformer, latent: Tensor, guidance: Tensor | None, conditions: Conditions) -> None:
    shape = network.shape
    if latent.shape[0] != conditions.batch:
        raise ValueError(f"{latent.shape[0]} latents but conditions for {conditions.batch} samples")
    if any(image.shape[1] != shape.latent_channels for image in (latent, *conditions.contents)):
        raise ValueError(f"the network takes latents of {shape.latent_channels} channels: another autoencoder?")
    if conditions.text.shape[-1] != shape.text_width or conditions.pooled.shape[-1] != shape.pooled_width:
        raise ValueError(
            f"the network takes text of width {shape.text_width} and a pooled vector of width {shape.pooled_width}, "
            f"not {conditions.text.shape[-1]} and {conditions.pooled.shape[-1]}: other text encoders?"
        )
    if (guidance is not None) != shape.guidance:
        raise ValueError("the network takes a guidance scale" if shape.guidance else "the network takes no guidance")
