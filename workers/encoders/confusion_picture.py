"""A picture of which styles an encoder tells apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def draw_confusion(panels: Sequence[tuple[str, Sequence[str], NDArray[np.float64]]], path: Path) -> None:
    """Write a PNG with one square heat map a panel (title, names, `[n, n]` areas under ROC curves, 0.5 to 1).

    Small tables carry their figures; dark cells are pairs that cannot be told apart.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.6 * len(panels), 6.4), layout="constrained")
    axes = np.atleast_1d(figure.subplots(1, len(panels)))
    image = None
    for axis, (title, names, areas) in zip(axes, panels, strict=True):
        image = axis.imshow(areas, vmin=0.5, vmax=1.0, cmap="magma", interpolation="nearest")
        axis.set_title(title, fontsize=10)
        small = 10 if len(names) <= 16 else 4
        axis.set_xticks(range(len(names)), names, rotation=90, fontsize=min(8, small))
        axis.set_yticks(range(len(names)), names, fontsize=min(8, small))
        if len(names) <= 16:
            for (row, column), area in np.ndenumerate(areas):
                if np.isfinite(area):
                    ink = "black" if area > 0.8 else "white"
                    axis.text(column, row, f"{area:.2f}", ha="center", va="center", fontsize=7, color=ink)
    if image is not None:
        figure.colorbar(image, ax=list(axes), shrink=0.7, label="pairwise AUC")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=70)
