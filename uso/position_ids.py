"""Position ids of target, references and text: UnoPE (UNO, arXiv 2504.02160, 3.2), as USO uses it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

IdShift = Literal["d", "h", "w", "o"]
"""Where a reference starts: past the target along both axes, along rows only, along columns only, or at its origin."""

ID_SHIFTS: tuple[IdShift, ...] = get_args(IdShift)


def grid_ids(rows: int, columns: int, row_start: int = 0, column_start: int = 0) -> Tensor:
    """Return the ids `[rows * columns, 3]` (0, row, column), float32, of a grid of tokens in row-major order."""
    row = torch.arange(row_start, row_start + rows, dtype=torch.float32)
    column = torch.arange(column_start, column_start + columns, dtype=torch.float32)
    grid = torch.cartesian_prod(row, column).reshape(rows * columns, 2)
    return torch.nn.functional.pad(grid, (1, 0))


def unope_ids(
    target: tuple[int, int], references: Sequence[tuple[int, int]] = (), shift: IdShift = "d"
) -> tuple[Tensor, list[Tensor]]:
    """Return the ids of the target and of each reference, float32 `[tokens, 3]`.

    Sizes are (rows, columns) in tokens. The first id axis stays 0. With shift `d` a reference starts at the sum of
    the rows and the sum of the columns of the target and of the references before it, so that no two images share a
    row or a column; `h` and `w` shift one axis alone, `o` none. Raises ValueError on an unknown shift or an empty
    grid.
    """
    if shift not in ID_SHIFTS:
        raise ValueError(f"unknown id shift {shift!r}; use one of {', '.join(ID_SHIFTS)}")
    for rows, columns in (target, *references):
        if rows < 1 or columns < 1:
            raise ValueError(f"a grid of {rows} x {columns} tokens has no ids")
    row_start, column_start = target
    ids = []
    for rows, columns in references:
        ids.append(grid_ids(rows, columns, row_start if shift in "dh" else 0, column_start if shift in "dw" else 0))
        row_start += rows
        column_start += columns
    return grid_ids(*target), ids


def text_ids(tokens: int) -> Tensor:
    """Return the ids of style and text tokens, zeros `[tokens, 3]`."""
    return torch.zeros(tokens, 3)
