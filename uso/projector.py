"""The hierarchical style projector of USO (arXiv 2508.18966, 3.3)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from uso.presets import StyleShape


class StyleFeatures(NamedTuple):
    """Hidden states `[B, tokens_in, width]` of one style image at the three vision layers of a `StyleShape`."""

    high: Tensor
    mid: Tensor
    low: Tensor


class HierarchicalProjector(nn.Module):
    """Style tokens from three levels of a frozen vision tower.

    Each level is mixed along its tokens (`tokens_in` -> `tokens_out`, SiLU), normalised, and projected to the
    network's width: low levels carry brush and grain, high ones carry what the style means. Submodule names are those
    of the released `projector.safetensors`.
    """

    def __init__(self, style: StyleShape, hidden: int) -> None:
        super().__init__()
        self.style = style
        self.high_embedding_linear = nn.Sequential(nn.Linear(style.tokens_in, style.tokens_out), nn.SiLU())
        self.high_layer_norm = nn.LayerNorm(style.width)
        self.high_projection = nn.Linear(style.width, hidden)
        self.mid_embedding_linear = nn.Sequential(nn.Linear(style.tokens_in, style.tokens_out), nn.SiLU())
        self.mid_layer_norm = nn.LayerNorm(style.width)
        self.mid_projection = nn.Linear(style.width, hidden)
        self.low_embedding_linear = nn.Sequential(nn.Linear(style.tokens_in, style.tokens_out), nn.SiLU())
        self.low_layer_norm = nn.LayerNorm(style.width)
        self.low_projection = nn.Linear(style.width, hidden)

    def forward(self, features: StyleFeatures) -> Tensor:
        """Return the style tokens `[B, 3 * tokens_out, hidden]` of one style image, in order high, mid, low.

        Raises ValueError when a level is not `[B, tokens_in, width]`.
        """
        for name, level in zip(StyleFeatures._fields, features, strict=True):
            if level.ndim != 3 or level.shape[1:] != (self.style.tokens_in, self.style.width):
                raise ValueError(
                    f"{name} style features are {list(level.shape)}, the projector takes "
                    f"[batch, {self.style.tokens_in}, {self.style.width}]: another vision tower or input size?"
                )
        high = self.high_layer_norm(_mix(self.high_embedding_linear, features.high))
        mid = self.mid_layer_norm(_mix(self.mid_embedding_linear, features.mid))
        low = self.low_layer_norm(_mix(self.low_embedding_linear, features.low))
        return torch.cat([self.high_projection(high), self.mid_projection(mid), self.low_projection(low)], dim=1)

    def reset_parameters(self) -> None:
        """Draw all weights anew, as a fresh projector has them; works after `to_empty` from the meta device."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.LayerNorm):
                module.reset_parameters()


def _mix(linear: nn.Module, level: Tensor) -> Tensor:
    mixed: Tensor = linear(level.to(next(linear.parameters()).dtype).transpose(1, 2))
    return mixed.transpose(1, 2)
