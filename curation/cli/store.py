"""`triptych store`: verify a store, clear it up, compact it, and let go of old versions."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from curation.cli import verifying
from curation.cli.durations import duration
from curation.cli.failure import fail
from curation.cli.stores import existing_store

if TYPE_CHECKING:
    from manifests.upkeep.gc import Garbage

app = typer.Typer(help="Verify a store, clear it up, compact it, and let go of old versions.")

StorePath = Annotated[str, typer.Option("--store", metavar="DIR", help="Folder, or s3://bucket/prefix, of the store.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only list what would be deleted.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to stdout.")]

_FAILED = 1


app.command()(verifying.verify)


@app.command()
def gc(
    store: StorePath,
    grace: Annotated[
        timedelta,
        typer.Option(parser=duration, metavar="TIME", help="Spare what is younger: a job may be about to commit it."),
    ] = "1h",  # type: ignore[assignment]  # typer parses defaults too
    dry_run: DryRun = False,
) -> None:
    """Delete what no commit names, left by jobs that were cut off or came second, and abort stale uploads.

    Example: `triptych store gc --store s3://bucket/sets/one --grace 2h --dry-run`
    """
    from manifests.upkeep.gc import collect

    with _told():
        _list(collect(existing_store(store), grace=grace, dry_run=dry_run), dry_run)


@app.command()
def compact(
    store: StorePath,
    shard_mb: Annotated[int, typer.Option(min=1, help="Megabytes that a joined shard has at most.")] = 512,
    as_json: AsJson = False,
) -> None:
    """Join small shards, and small files of tables; what they replace stays until `triptych store vacuum`.

    Example: `triptych store compact --store runs/demo --shard-mb 256`
    """
    from rich.progress import Progress

    from manifests.upkeep.compact import compact as join

    existing = existing_store(store)
    with _told(), Progress(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("joining shards", total=None)
        done = join(
            existing,
            target=shard_mb * 2**20,
            progress=lambda step, total: bars.update(task, completed=step, total=total),
        )
    if as_json:
        typer.echo(json.dumps(vars(done), indent=1))
    else:
        typer.echo(
            f"{done.shards_before:,} shards joined into {done.shards_after:,} ({done.bytes / 1e6:,.1f} MB), "
            f"{done.data_files:,} data files of tables merged"
        )


@app.command()
def vacuum(
    store: StorePath,
    older_than: Annotated[
        timedelta,
        typer.Option(parser=duration, metavar="TIME", help="Spare what was replaced later: old versions need it."),
    ] = "7d",  # type: ignore[assignment]  # typer parses defaults too
    dry_run: DryRun = False,
) -> None:
    """Delete what only older versions need: shards that were joined into others, and replaced files of tables.

    Versions of a table from before can then no longer be opened.

    Example: `triptych store vacuum --store runs/demo --older-than 30d`
    """
    from manifests.upkeep.vacuum import vacuum as let_go

    with _told():
        _list(let_go(existing_store(store), older=older_than, dry_run=dry_run), dry_run)


def _list(garbage: Iterable[Garbage], dry_run: bool) -> None:
    count = size = 0
    for one in garbage:
        typer.echo(f"{one.name}  {one.why}")
        count, size = count + 1, size + one.bytes
    typer.echo(f"{count:,} files, {size / 1e6:,.1f} MB " + ("would be deleted" if dry_run else "deleted"))


@contextmanager
def _told() -> Iterator[None]:
    """Say in one line what went wrong with the place where a store lies."""
    try:
        yield
    except OSError as error:
        raise fail(str(error), code=_FAILED) from None
