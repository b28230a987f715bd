"""The receiver operating characteristic of every score: which share of the good it keeps, and which of the bad."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from curation.policy.curves import Curves

_SIDE = 7.0


def plot_roc(found: Mapping[str, Curves], areas: Mapping[str, float], path: Path) -> None:
    """Draw the curves of all scores into one picture, each with its area (AUC)."""
    from matplotlib import colormaps
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_SIDE + 3, _SIDE), layout="constrained")
    FigureCanvasAgg(figure)
    axis = figure.subplots()
    axis.set_prop_cycle(color=[colormaps["tab20"](number) for number in range(20)])
    for name, along in found.items():
        bad, good = [0.0, *along.false_alarms], [0.0, *along.recall]
        axis.plot(bad, good, label=f"{name}: {areas[name]:.3f}", linewidth=1.4)
    axis.plot([0, 1], [0, 1], color="#999999", linewidth=0.8, linestyle=":")
    axis.set_xlabel("share of the bad that is kept")
    axis.set_ylabel("share of the good that is kept")
    axis.set_title("each score alone, with its area (AUC)", fontsize=10)
    axis.grid(alpha=0.25)
    figure.legend(loc="outside right upper", fontsize=8)
    figure.savefig(path, dpi=90)
