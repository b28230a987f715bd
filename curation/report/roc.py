"""The receiver operating characteristic of every score: which share of the good it keeps, and which of the bad."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from curation.policy.calibrate import Labelled, auc

_SIDE = 7.0


def roc(
    values: NDArray[np.float64], good: NDArray[np.bool_], *, bad: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the shares of bad and of good candidates that are kept, from the strictest threshold to none.

    `bad` says on which side of a threshold bad candidates are expected: `low` or `high`. Equal values fall together,
    so the curve's area is the AUC. Both arrays begin with 0 and end with 1.
    """
    order = np.argsort(-values if bad == "low" else values, kind="stable")
    ranked, kept = values[order], good[order]
    ends = np.append(np.flatnonzero(np.diff(ranked)), len(ranked) - 1)
    true = np.cumsum(kept)[ends] / max(1, int(good.sum()))
    false = np.cumsum(~kept)[ends] / max(1, int((~good).sum()))
    return np.concatenate([[0.0], false]), np.concatenate([[0.0], true])


def plot_roc(data: Labelled, path: Path) -> None:
    """Draw the curves of all measured scores into one picture."""
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_SIDE + 3, _SIDE), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    axis.set_prop_cycle(color=[colormaps["tab20"](number) for number in range(20)])
    for bound in data.bounds():
        values, good = data.under(bound)
        area = auc(values, good, bad=bound.bad)
        if not math.isnan(area):
            name = f"{bound.column}, {bound.layout}" if bound.layout else bound.column
            axis.plot(*roc(values, good, bad=bound.bad), label=f"{name}: {area:.3f}", linewidth=1.4)
    axis.plot([0, 1], [0, 1], color="#999999", linewidth=0.8, linestyle=":")
    axis.set_xlabel("share of the bad that is kept")
    axis.set_ylabel("share of the good that is kept")
    axis.set_title("each score alone, with its area (AUC)", fontsize=10)
    axis.grid(alpha=0.25)
    figure.legend(loc="outside right upper", fontsize=8)
    figure.savefig(path, dpi=90)
