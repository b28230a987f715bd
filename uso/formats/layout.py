"""How the tensors of a file are made of the network's: one table per format, read and written by one engine."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Piece:
    """Rows `start` to `stop` of one of the network's tensors."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True)
class Entry:
    """One tensor of a file: its key, its shape, and the rows of the network's tensors that it holds, top to bottom."""

    key: str
    shape: Shape
    pieces: tuple[Piece, ...]


def entry(key: str, shape: Shape, *names: str) -> Entry:
    """Return the entry of a tensor that holds one network tensor, or several of them in equal parts, whole."""
    rows = shape[0] // len(names)
    return Entry(key, shape, tuple(Piece(name, 0, rows) for name in names))


def network_shapes(entries: Iterable[Entry]) -> dict[str, Shape]:
    """Return the shape of every network tensor that a format's entries hold between them."""
    rows: dict[str, int] = {}
    tails: dict[str, Shape] = {}
    for item in entries:
        for piece in item.pieces:
            rows[piece.name] = max(rows.get(piece.name, 0), piece.stop)
            tails[piece.name] = item.shape[1:]
    return {name: (count, *tails[name]) for name, count in rows.items()}


def read_entries(entries: list[Entry], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the network's tensors out of a file's, which must have the entries' keys and shapes.

    A tensor that the file holds whole is passed on as it is, without a copy; the others are copied row by row. The
    values are those of the file, bit for bit. Raises ValueError when tensors that are fused into one differ in dtype.
    """
    shapes = network_shapes(entries)
    state: dict[str, Tensor] = {}
    for item in entries:
        source = tensors[item.key]
        row = 0
        for piece in item.pieces:
            count = piece.stop - piece.start
            if count == shapes[piece.name][0] == source.shape[0]:
                state[piece.name] = source
                continue
            if piece.name not in state:
                state[piece.name] = torch.empty(shapes[piece.name], dtype=source.dtype, device=source.device)
            if state[piece.name].dtype != source.dtype:
                raise ValueError(f"{item.key} is {source.dtype}, what it is fused with {state[piece.name].dtype}")
            state[piece.name][piece.start : piece.stop] = source[row : row + count]
            row += count
    return state


def write_entries(entries: list[Entry], state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return a file's tensors out of the network's: the inverse of `read_entries`."""
    return {
        item.key: torch.cat([state[piece.name][piece.start : piece.stop] for piece in item.pieces]).contiguous()
        for item in entries
    }
