"""`triptych store`: verify a store, and clear away what no commit names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from curation.cli.failure import fail
from curation.cli.stores import existing_store

app = typer.Typer(help="Verify a store, and clear away what no commit names.")

StorePath = Annotated[Path, typer.Option("--store", metavar="DIR", help="Folder that holds shards and manifest.")]


@app.command()
def verify(
    store: StorePath, as_json: Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")] = False
) -> None:
    """Check every byte of every shard against the manifest, and the chain of commits; exit code 1 if unsound.

    Example: `triptych store verify --store runs/demo`
    """
    from rich.progress import Progress

    from manifests.verify import verify as check

    existing = existing_store(store)
    with Progress(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("shards", total=None)
        verdict = check(existing, progress=lambda done, total: bars.update(task, completed=done, total=total))
    if as_json:
        typer.echo(json.dumps(vars(verdict) | {"sound": verdict.sound}, indent=1))
    else:
        for fault in verdict.faults:
            typer.echo(fault)
        typer.echo(
            f"{verdict.shards:,} shards, {verdict.samples:,} samples, {verdict.candidates:,} candidates: "
            + ("sound" if verdict.sound else f"{len(verdict.faults):,} faults")
        )
    if not verdict.sound:
        raise typer.Exit(1)


@app.command()
def gc(
    store: StorePath,
    delete: Annotated[bool, typer.Option("--delete", help="Delete them; without it they are only listed.")] = False,
) -> None:
    """List the files in `shards/` that no commit names (left by runs that were cut off), or delete them.

    Example: `triptych store gc --store runs/demo --delete`
    """
    from manifests.store import StoreBusyError

    existing = existing_store(store)
    try:
        with existing.writing():
            garbage = existing.garbage()
            for path in garbage:
                typer.echo(path)
                if delete:
                    path.unlink()
    except StoreBusyError as error:
        raise fail(str(error)) from None
    typer.echo(f"{len(garbage):,} files" + (" deleted" if delete else "; --delete deletes them" if garbage else ""))
