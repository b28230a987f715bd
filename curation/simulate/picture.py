"""A simulated run as a picture: how many workers of each stage work, over time."""

from __future__ import annotations

from pathlib import Path

from curation.simulate.outcome import Outcome

_WORKING, _THERE = "#2b6cb0", "#d5dbe3"


def draw(outcome: Outcome, path: Path) -> None:
    """Write a picture of a run: SVG, PNG or PDF by the path's ending."""
    from matplotlib.figure import Figure

    width, bins = outcome.timeline.width, outcome.timeline.bins
    length = max(1, max((place + 1 for row in bins for place, value in enumerate(row) if value), default=1))
    unit, factor = ("hours", 3600.0) if length * width > 2 * 3600 else ("minutes", 60.0)
    edges = [place * width / factor for place in range(length + 1)]
    figure = Figure(figsize=(9, 0.9 * len(outcome.stages) + 1.2), layout="constrained")
    axes = figure.subplots(len(outcome.stages), 1, sharex=True, squeeze=False)[:, 0]
    for place, (stage, ax) in enumerate(zip(outcome.stages, axes, strict=True)):
        working, there = ([value / width for value in bins[2 * place + part][:length]] for part in (0, 1))
        ax.stairs(there, edges, fill=True, color=_THERE, label="there")
        ax.stairs(working, edges, fill=True, color=_WORKING, label="working")
        ax.set_ylim(0, max(1.0, *there) * 1.08)
        ax.set_ylabel(stage.name, rotation=0, ha="right", va="center")
        ax.text(1.005, 0.5, f"{stage.busy:.0%} busy", transform=ax.transAxes, va="center")
        for side in ("top", "right"):
            ax.spines[side].set_visible(False)
    axes[0].legend(loc="lower right", bbox_to_anchor=(1.0, 1.0), ncols=2, frameon=False)
    axes[0].set_title(f"workers by stage; {outcome.work.rows:,} candidates", loc="left")
    axes[-1].set_xlabel(unit)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=120)
