"""`triptych runs`: what a training run has used, whether its checkpoints are whole, and its report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from curation.cli.failure import fail
from curation.cli.model import model_library

app = typer.Typer(
    help="What a training run has used, whether its checkpoints are whole, and its report.", no_args_is_help=True
)

RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a run (`--out` of `triptych train`).")]

_DAMAGED = 1


@app.command()
def uses(
    run: RunPath,
    candidates: Annotated[list[str], typer.Argument(metavar="ID...", help="Candidate ids, as in the manifest.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON to stdout, and nothing else.")] = False,
) -> None:
    """Tell which checkpoints of a run were trained on candidates, and how often.

    It is computed from the run's own record: neither the store nor the images are needed.

    Example: `triptych runs uses runs/train/stage1 4b663787b1b014bde0d6c5649e2e0594`
    """
    with model_library():
        from uso.training.consumed import uses as uses_of

        found = uses_of(run, candidates)
    if as_json:
        listed = {
            candidate: [{"checkpoint": str(use.checkpoint), "step": use.step, "times": use.times} for use in made]
            for candidate, made in found.items()
        }
        typer.echo(json.dumps(listed, indent=1))
        return
    for candidate in candidates:
        if candidate not in found:
            typer.echo(f"{candidate}: not among this run's samples")
        for use in found.get(candidate, []):
            typer.echo(f"{candidate}: {use.checkpoint.name} used it {use.times} times")


@app.command()
def verify(run: RunPath) -> None:
    """Hold every file of every checkpoint against its sha256.

    Example: `triptych runs verify runs/train/stage1`
    """
    with model_library():
        from uso.training.state import CheckpointDamagedError, checkpoints, load_state

        found = checkpoints(run)
        if not found:
            raise fail(f"{run}: holds no checkpoint")
        damaged = 0
        for _, folder in found:
            try:
                load_state(folder)
                typer.echo(f"{folder.name}: whole")
            except CheckpointDamagedError as error:
                damaged += 1
                Console(stderr=True, soft_wrap=True).print(str(error), style="red", markup=False, highlight=False)
    if damaged:
        raise typer.Exit(_DAMAGED)


@app.command()
def report(
    run: RunPath,
    others: Annotated[list[Path] | None, typer.Option("--beside", metavar="RUN", help="Runs to compare with.")] = None,
) -> None:
    """Write the report of a run again: curves, sample grids, recipe, data.

    Example: `triptych runs report runs/train/stage1`
    """
    with model_library():
        from uso.training.watch.report import write_report

        typer.echo(write_report(run, others=others or ()))
