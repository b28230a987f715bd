"""Sizes of the USO network as data: the shape of a network, and three named shapes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

PresetName = Literal["flux-dev", "nano", "tiny"]

DEFAULT_LORA_RANK = 128
"""Rank of the released USO LoRA."""

PATCH = 2
"""Latent pixels along each side of one token."""

MLP_RATIO = 4
"""Width of a block's MLP in hidden widths; FLUX fixes it."""

TIME_WIDTH = 256
"""Width of the sinusoidal embedding of time and guidance; FLUX fixes it."""


def rope_axes(head_dim: int) -> tuple[int, int, int]:
    """Return how FLUX shares a head's width among the rope axes: an eighth for the first, the rest in two halves.

    128 gives (16, 56, 56), as in FLUX.1. Raises ValueError where that leaves an odd or empty share.
    """
    first = head_dim // 8
    rest = (head_dim - first) // 2
    axes = (first, rest, rest)
    if sum(axes) != head_dim or any(axis <= 0 or axis % 2 for axis in axes):
        raise ValueError(f"a head of width {head_dim} has no FLUX split into rope axes; state the axes")
    return axes


@dataclass(frozen=True)
class StyleShape:
    """Size of the hierarchical style projector, and the vision layers that feed it (USO 3.3).

    `tokens_in` vision tokens of `width` features become `tokens_out` tokens a layer; `layers` index the vision
    tower's hidden states, highest first.
    """

    tokens_in: int = 729
    tokens_out: int = 64
    width: int = 1152
    layers: tuple[int, int, int] = (-2, -11, -20)

    def __post_init__(self) -> None:
        if min(self.tokens_in, self.tokens_out, self.width) < 1:
            raise ValueError(f"style tokens and width must be positive, not {self}")

    @property
    def tokens(self) -> int:
        """Return the style tokens that one style image adds to the sequence."""
        return self.tokens_out * len(self.layers)


@dataclass(frozen=True)
class NetworkShape:
    """Size of a USO network: the MM-DiT of FLUX.1, and its style projector.

    `hidden` is heads x head width; `axes` split the head width among the rope axes (reference, row, column);
    `double` and `single` count the blocks of the two kinds; `text_width` and `pooled_width` are those of the T5
    tokens and of the CLIP vector; `latent_channels` those of the autoencoder before 2x2 packing. Raises ValueError
    when the numbers do not fit together.
    """

    hidden: int = 3072
    heads: int = 24
    axes: tuple[int, int, int] = (16, 56, 56)
    double: int = 19
    single: int = 38
    text_width: int = 4096
    pooled_width: int = 768
    latent_channels: int = 16
    guidance: bool = True
    style: StyleShape = field(default_factory=StyleShape)

    def __post_init__(self) -> None:
        sizes = (self.hidden, self.heads, self.text_width, self.pooled_width, self.latent_channels)
        if min(sizes) < 1 or min(self.double, self.single) < 0:
            raise ValueError(f"network sizes must be positive, not {self}")
        if self.hidden % self.heads:
            raise ValueError(f"hidden width {self.hidden} does not divide among {self.heads} heads")
        if sum(self.axes) != self.head_dim or any(axis <= 0 or axis % 2 for axis in self.axes):
            raise ValueError(f"rope axes {self.axes} must be even and add up to the head width {self.head_dim}")

    @property
    def head_dim(self) -> int:
        """Return the width of one attention head."""
        return self.hidden // self.heads

    @property
    def token_width(self) -> int:
        """Return the width of one packed latent token."""
        return self.latent_channels * PATCH * PATCH


PRESETS: dict[PresetName, NetworkShape] = {
    "flux-dev": NetworkShape(),
    "nano": NetworkShape(
        hidden=256,
        heads=4,
        axes=(8, 28, 28),
        double=4,
        single=8,
        text_width=256,
        pooled_width=256,
        style=StyleShape(tokens_in=49, tokens_out=16, width=384),
    ),
    "tiny": NetworkShape(
        hidden=64,
        heads=2,
        axes=(4, 14, 14),
        double=2,
        single=2,
        text_width=48,
        pooled_width=40,
        style=StyleShape(tokens_in=25, tokens_out=4, width=32),
    ),
}
"""`flux-dev` is FLUX.1-dev with the released projector; `nano` trains on a CPU; `tiny` is for tests."""


def preset(name: str) -> NetworkShape:
    """Return the preset called `name`. Raises ValueError naming the presets that there are."""
    for known, shape in PRESETS.items():
        if known == name:
            return shape
    raise ValueError(f"no preset is called {name!r}; there are {', '.join(PRESETS)}")
