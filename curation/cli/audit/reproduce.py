"""`triptych audit reproduce`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from curation.cli.audit._options import FOUND, AsJson, AtVersion, StorePath, ledger_of
from curation.cli.audit._output import echo_json, echo_table

if TYPE_CHECKING:
    from curation.reproduce import Reproduction


def reproduce(
    one: Annotated[str, typer.Argument(metavar="ID", help="Id of a candidate, or its first digits.")],
    store: StorePath,
    version: AtVersion = None,
    scores: Annotated[bool, typer.Option(help="Measure the scores again, and decide again.")] = True,
    as_json: AsJson = False,
) -> None:
    """Make a candidate again from the ledger, and tell whether its images are the same, and what has changed since.

    Its sources and weights must be where the job found them. Exit code 1 where an image is another one, or was not
    made.

    Example: `triptych audit reproduce 03f691b2 --store runs/demo`
    """
    with ledger_of(store, version) as ledger:
        from curation.reproduce import reproduce as remake

        found = remake(ledger, one, scores=scores)
    if as_json:
        echo_json({**asdict(found), "findings": found.findings})
    else:
        _print(found)
    if found.findings:
        raise typer.Exit(FOUND)


def _print(found: Reproduction) -> None:
    typer.echo(f"Candidate {found.candidate_id}: {found.sameness}")
    echo_table(
        [
            {
                "image": image.role,
                "made again": image.sameness,
                "recorded": (image.recorded or "")[:16],
                "now": (image.now or "")[:16],
                "PSNR, dB": image.psnr,
                "hash bits apart": image.hash_bits,
            }
            for image in found.images
        ]
    )
    for column, (was, now) in found.scores.items():
        typer.echo(f"  {column} was {was}, is {now}")
    was_accepted, is_accepted = found.accepted
    if is_accepted is not None:
        same = "the same" if was_accepted == is_accepted else "another one"
        typer.echo(f"  Decision: {same} ({'accepted' if is_accepted else 'rejected'})")
    for heading, lines in (("Changed since", found.changes), ("Not made again", found.notes)):
        if lines:
            typer.echo(f"  {heading}:")
            for line in lines:
                typer.echo(f"    {line}")


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(reproduce)
