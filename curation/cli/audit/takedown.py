"""`triptych audit takedown`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curation.cli.audit._options import FOUND, AsJson, Runs, StorePath, ledger_of
from curation.cli.audit._output import echo_json, echo_table
from curation.cli.audit._walk import times_used
from curation.cli.failure import fail
from curation.cli.stores import existing_store

if TYPE_CHECKING:
    from manifests.audit.training_runs import TrainingRun
    from manifests.takedown.run import Preview

_SHOWN = 30
_MOST = 10**8

Names = list[str] | None
Assets = Annotated[Names, typer.Option("--asset", metavar="ID", help="An image, by its id or first 8 digits.")]
Sources = Annotated[
    Names, typer.Option("--source", metavar="URI", help="SOURCE:LOCATOR, a locator, or the address that was stated.")
]
Licences = Annotated[Names, typer.Option("--licence", metavar="SPDX", help="All images under a licence.")]
Authors = Annotated[Names, typer.Option("--author", metavar="NAME", help="All images of an author.")]
Likes = Annotated[
    list[Path] | None, typer.Option("--like", metavar="IMAGE", help="Targets that look like the image in a file.")
]
Distance = Annotated[
    int, typer.Option("--distance", min=0, max=64, help="Bits of 256 in which the hash of --like may differ.")
]
Where = Annotated[
    str | None, typer.Option("--sql", metavar="WHERE", help="A condition over the table `assets`, in SQL.")
]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only tell what would go.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it: what goes cannot be had back.")]


def takedown(
    store: StorePath,
    asset: Assets = None,
    source: Sources = None,
    licence: Licences = None,
    author: Authors = None,
    like: Likes = None,
    distance: Distance = 8,
    sql: Where = None,
    runs: Runs = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Remove images, and all that was made of them, from tables, shards, reports, caches and old versions.

    Each may be named in several ways, and each way may be repeated. Nothing is done without --yes. One that was
    interrupted is finished by the next, which needs no name. Ingest refuses what was taken down. Exit code 1 where
    nothing is named so.

    Example: `triptych audit takedown --store runs/demo --author "A. Painter" --runs runs/train --dry-run`
    """
    from manifests.audit.training_runs import find_runs
    from manifests.takedown.journal import unfinished
    from manifests.takedown.run import preview, take_down
    from manifests.takedown.wanted import TakedownError, Wanted

    existing = existing_store(store)
    try:
        trained = find_runs(runs or [])
        wanted = Wanted(
            assets=asset or (),
            sources=source or (),
            licences=licence or (),
            authors=author or (),
            looks=[_look(path) for path in like or ()],
            distance=distance,
            refs=_refs(store, sql) if sql else (),
        )
        interrupted = unfinished(existing) is not None
        if wanted.empty and not sql and not interrupted:
            raise fail("name what is to go: --asset, --source, --licence, --author, --like or --sql")
        if dry_run or not (yes or interrupted):
            found = preview(existing, wanted, runs=trained, times=times_used if trained else None)
            if as_json:
                echo_json(found)
            else:
                _print(found, trained)
            if interrupted:
                typer.echo("A takedown was interrupted; the next one without --dry-run finishes it.")
            if not found.images:
                raise typer.Exit(FOUND)
            if not dry_run:
                raise fail("nothing was done; --yes does it, and what goes cannot be had back")
            return
        receipts = take_down(existing, wanted, runs=trained, times=times_used if trained else None)
    except (TakedownError, ValueError) as error:
        raise fail(str(error)) from None
    except OSError as error:
        raise fail(f"{error}; run it again to go on") from None
    if as_json:
        echo_json([asdict(receipt) for receipt in receipts])
    else:
        for receipt in receipts:
            typer.echo(receipt.words(), nl=False)
            typer.echo(f"  receipt: {store}/takedowns/{receipt.takedown}.json")
    if not receipts:
        typer.echo("nothing in the store is named so")
        raise typer.Exit(FOUND)


def _print(found: Preview, trained: list[TrainingRun]) -> None:
    shown = [
        {
            "image": (one["asset_id"] or "refused")[:12],
            "where from": f"{one['source']}:{one['locator']}",
            "subject": one["subject"],
            "style": one["style"],
            "licence": one["licence"],
            "author": one["author"],
        }
        for one in found.images[:_SHOWN]
    ]
    if shown:
        echo_table(shown)
    if len(found.images) > _SHOWN:
        typer.echo(f"and {len(found.images) - _SHOWN:,} more; --json has all")
    typer.echo(
        f"{len(found.images):,} images would go ({found.named:,} as named, the others with them), and "
        f"{len(found.candidates):,} candidates, {found.accepted:,} of them accepted; "
        f"{len(found.shards):,} shards of {found.bytes / 1e6:,.1f} MB would be written anew"
    )
    if found.versions:
        listed = ", ".join(map(str, found.versions[:_SHOWN]))
        typer.echo(f"Committed in versions {listed}{' ...' if len(found.versions) > _SHOWN else ''}.")
    for run in found.training:
        seen = ", ".join(f"{one['checkpoint']} ({one['times']} times)" for one in run["checkpoints"])
        typer.echo(f"Run {run['run']} had {run['candidates']:,} of the candidates; checkpoints: {seen or 'none'}.")
    if not trained:
        typer.echo("Training runs were not looked at; --runs names their folders.")


def _look(path: Path) -> str:
    """Return the perceptual hash of an image, read as ingest reads one."""
    from curation.deduplicate import perceptual_hash
    from curation.ingest.decode import decode
    from curation.ingest.limits import Limits
    from curation.ingest.refusal import Refused

    try:
        return perceptual_hash(decode(path.read_bytes(), Limits()).pixels)
    except OSError as error:
        raise fail(f"--like {path}: cannot be read: {error.strerror}") from None
    except Refused as refused:
        raise fail(f"--like {path}: {refused}") from None


def _refs(store: str, where: str) -> list[str]:
    """Return the rows of `assets` that a condition holds for."""
    from manifests.audit.query import query

    with ledger_of(store) as ledger:
        return [row["ref_id"] for row in query(ledger, f"select ref_id from assets where ({where})", rows=_MOST).rows]


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(takedown)
