"""The tables of a run as Markdown: the paper's form first, then what its reviewers missed."""

from __future__ import annotations

from collections.abc import Sequence

from uso.bench.bootstrap import Interval
from uso.bench.columns import COLUMN, COLUMNS, TASK_TITLES, Role, TaskKey, good_in
from uso.bench.results import Results
from uso.bench.summary import LEVEL, Summary

_PAPER: tuple[tuple[TaskKey, tuple[Role, ...]], ...] = (
    ("subject", ("subject", "text")),
    ("style", ("style", "text")),
    ("joint", ("style", "subject", "text")),
)
_MISSED: tuple[TaskKey, ...] = ("subject", "style", "preserved", "shifted")

Head = tuple[TaskKey, str]


def paper_columns(summary: Summary) -> list[Head]:
    """Return the columns of the paper's table that were measured: (task, column)."""
    return [(task, key) for task, roles in _PAPER for key in summary.columns(task, roles)]


def missed_columns(summary: Summary) -> list[list[Head]]:
    """Return the columns that reviewers of the paper missed, (task, column), in a list for each task."""
    listed = ([(task, key) for key in summary.columns(task, ("extra",))] for task in _MISSED)
    return [heads for heads in listed if heads]


def markdown(results: Results, summary: Summary) -> str:
    """Return the whole page of tables."""
    missed = missed_columns(summary)
    samples = len({row.number for row in results.rows})
    steps, side = results.settings["steps"], results.settings["side"]
    parts = [
        f"# {results.set_name}\n",
        f"{samples:,} samples a system, {side} px, {steps} steps. Means with {LEVEL:.0%} intervals; subjects and "
        "styles are resampled. The best of the checkpoints is bold.\n",
        _table(results, summary, paper_columns(summary)),
        _absent(summary),
        "## What reviewers of the paper missed\n",
        *(_table(results, summary, heads) for heads in missed),
        "\n".join(
            f"- {COLUMN[key].title}: {COLUMN[key].meaning}"
            for key in _keys([head for heads in missed for head in heads])
        )
        + "\n",
        _claims(summary),
        _encoders(results),
        f"Set digest `{results.set_digest}`."
        + " Systems: "
        + ", ".join(f"{system['name']} `{str(system['digest'])[:16]}`" for system in results.systems)
        + ".\n",
    ]
    return "\n".join(part for part in parts if part)


def told(interval: Interval | None) -> str:
    """Return a mean with its interval, as tables write it."""
    if interval is None:
        return "-"
    if interval.low is None or interval.high is None:
        return f"{interval.mean:.3f}"
    return f"{interval.mean:.3f} [{interval.low:.3f}, {interval.high:.3f}]"


def best(results: Results, summary: Summary, task: TaskKey, column: str) -> str | None:
    """Return the checkpoint that does best in a column; None where there are not two that differ, or no way is good."""
    good = good_in(COLUMN[column], task)
    found = {
        str(system["name"]): interval.mean
        for system in results.systems
        if system["baseline"] is None and (interval := summary.figure(str(system["name"]), task, column)) is not None
    }
    if good is None or len(found) < 2:
        return None
    if len({round(mean, 3) for mean in found.values()}) == 1:
        return None
    return max(found, key=lambda name: found[name] if good == "high" else -found[name])


def _table(results: Results, summary: Summary, heads: Sequence[Head]) -> str:
    if not heads:
        return ""
    titles = [f"{TASK_TITLES[task]}: {COLUMN[key].title}{_arrow(task, key)}" for task, key in heads]
    lines = [f"| system | {' | '.join(titles)} |", "|---|" + "---|" * len(heads)]
    for system in results.systems:
        name = str(system["name"])
        cells = []
        for task, key in heads:
            cell = told(summary.figure(name, task, key))
            cells.append(f"**{cell}**" if best(results, summary, task, key) == name else cell)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _arrow(task: TaskKey, key: str) -> str:
    return {"high": " ↑", "low": " ↓", None: ""}[good_in(COLUMN[key], task)]


def _absent(summary: Summary) -> str:
    measured = {figure.column for figure in summary.figures}
    absent = [column.title for column in COLUMNS if column.key not in measured and "nano" not in column.key]
    if not absent:
        return ""
    return f"Not measured, for want of the encoder or of what it needs: {', '.join(absent)}.\n"


def _claims(summary: Summary) -> str:
    if not summary.claims:
        return ""
    lines = ["## Does it beat the plain answers?\n"]
    for claim in summary.claims:
        verdict = "yes" if claim.holds else "no"
        title = COLUMN[claim.column].title
        lines.append(
            f"- {claim.system} over {claim.other}, {title}: **{verdict}** "
            f"({told(claim.mine)} against {told(claim.theirs)})"
        )
    return "\n".join(lines) + "\n"


def _encoders(results: Results) -> str:
    lines = [
        f"- {COLUMN[key].title if key in COLUMN else key}: {encoder['title']}, `{encoder['sha256'][:16]}`"
        for key, encoder in results.encoders.items()
    ]
    return "## Measured by\n\n" + "\n".join(lines) + "\n"


def _keys(heads: Sequence[Head]) -> list[str]:
    return list(dict.fromkeys(key for _, key in heads))
