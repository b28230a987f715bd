"""Latents to tokens and back: FLUX packs 2x2 latent pixels into one token."""

from __future__ import annotations

from torch import Tensor

from uso.presets import PATCH


def token_grid(latent: Tensor) -> tuple[int, int]:
    """Return (rows, columns) of tokens of a latent `[B, C, h, w]`. Raises ValueError when a side is not even."""
    if latent.ndim != 4:
        raise ValueError(f"a latent is [batch, channels, height, width], not {list(latent.shape)}")
    height, width = latent.shape[-2:]
    if height < PATCH or width < PATCH or height % PATCH or width % PATCH:
        raise ValueError(f"a latent of {height} x {width} does not pack into {PATCH} x {PATCH} patches")
    return height // PATCH, width // PATCH


def pack(latent: Tensor) -> Tensor:
    """Return the tokens `[B, rows * columns, 4 C]` of a latent `[B, C, h, w]`; within a token channel comes first."""
    rows, columns = token_grid(latent)
    batch, channels = latent.shape[:2]
    patches = latent.reshape(batch, channels, rows, PATCH, columns, PATCH)
    return patches.permute(0, 2, 4, 1, 3, 5).reshape(batch, rows * columns, channels * PATCH * PATCH)


def unpack(tokens: Tensor, rows: int, columns: int) -> Tensor:
    """Return the latent `[B, C, 2 rows, 2 columns]` of tokens `[B, rows * columns, 4 C]`: the inverse of `pack`."""
    batch, count, width = tokens.shape
    if count != rows * columns or width % (PATCH * PATCH):
        raise ValueError(f"{count} tokens of width {width} are not a grid of {rows} x {columns}")
    channels = width // (PATCH * PATCH)
    patches = tokens.reshape(batch, rows, columns, channels, PATCH, PATCH)
    return patches.permute(0, 3, 1, 4, 2, 5).reshape(batch, channels, rows * PATCH, columns * PATCH)
