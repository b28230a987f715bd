"""`triptych experts`: what the experts of a spec can do on subjects that nobody was trained on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from curation.cli.failure import fail

if TYPE_CHECKING:
    from curation.skill.evaluate import Skill
    from uso.bench.bootstrap import Interval

app = typer.Typer(help="Measure the experts that draw.", no_args_is_help=True)

SHEET_ROWS = 24


@app.callback()
def experts() -> None:
    """Measure the experts that draw."""


@app.command("eval")
def evaluate_experts(
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="Job spec (YAML) with experts of kind `uso`.")],
    subjects: Annotated[int, typer.Option(min=2, metavar="N", help="Held-out subjects to try each expert on.")] = 40,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for figures (JSON) and contact sheets.")] = Path(
        "runs/experts"
    ),
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="a.b=c", help="Override a key of the spec; may be repeated.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON to stdout, and nothing else.")] = False,
) -> None:
    """Measure each expert that draws, on held-out subjects, beside copying, retrieval and the true image.

    Copying gives back the target; the oracle gives the true image of the subject that the expert drew, in the style
    that it was to have. Means with 95 % intervals over subjects and styles; measured by the nano encoder. Needs no Ray.

    Example: `triptych experts eval jobs/nano/loop.yaml --subjects 60 --out runs/experts`
    """
    from curation.cli.curate import load_job
    from curation.corpus.cache import CorpusMissing
    from curation.skill.run import NothingDrawsError, measure_experts

    loaded = load_job(spec, overrides)
    try:
        skills = measure_experts(loaded, subjects=subjects, out=out, sheet_rows=SHEET_ROWS)
    except (CorpusMissing, NothingDrawsError) as error:
        raise fail(str(error)) from None
    except ValueError as error:  # weights that do not load or do not go together
        raise fail(f"{spec}: experts: {error}") from None
    if as_json:
        typer.echo(json.dumps([skill.to_json() for skill in skills], indent=1))
        return
    for skill in skills:
        _print(skill)
    Console().print(f"figures and contact sheets: {out}", soft_wrap=True)


def _print(skill: Skill) -> None:
    from rich.table import Table

    from curation.skill.columns import SKILL_COLUMNS

    failed = ", ".join(f"{count} {reason}" for reason, count in skill.failures.items())
    console = Console()
    console.width = max(console.width, 140)
    table = Table(
        title=f"{skill.role}: {skill.title}, {skill.trials} trials" + (f", failed: {failed}" if failed else ""),
        caption="mean [95 % interval]; a star: the expert's paired difference to this system is beyond chance",
    )
    table.add_column("")
    for system in skill.figures:
        table.add_column(system, justify="right")
    for column in SKILL_COLUMNS[skill.role]:
        cells = []
        for system, figures in skill.figures.items():
            difference = skill.differences.get(system, {}).get(column.key)
            cells.append(_cell(figures[column.key]) + (" *" if _beyond_chance(difference) else ""))
        table.add_row(f"{column.key} ({column.good} is good)", *cells)
    console.print(table)


def _cell(interval: Interval | None) -> str:
    if interval is None:
        return "n/a"
    if interval.low is None or interval.high is None:
        return f"{interval.mean:.2f}"
    return f"{interval.mean:.2f} [{interval.low:.2f}, {interval.high:.2f}]"


def _beyond_chance(difference: Interval | None) -> bool:
    if difference is None or difference.low is None or difference.high is None:
        return False
    return difference.low > 0 or difference.high < 0
