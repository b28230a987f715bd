"""`triptych audit licences`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curation.cli.audit._options import FOUND, AsJson, AtVersion, StorePath, ledger_of, policy_in, write_file
from curation.cli.audit._output import echo_json, echo_table

if TYPE_CHECKING:
    from manifests.audit.licences import Licences


def licences(
    store: StorePath,
    version: AtVersion = None,
    policy: Annotated[
        Path | None,
        typer.Option("--policy", metavar="FILE", help="YAML with the keys allow, deny, share-alike, unknown."),
    ] = None,
    attribution: Annotated[
        Path | None,
        typer.Option("--attribution", metavar="FILE", help="Write title, author, source, licence of works."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell the licences of the data set: shares, obligations, who stated them when, and what a policy makes of it.

    Exit code 1 where triplets do not pass the policy (without one: where a licence is unknown), or a work was recorded
    under two licences.

    Example: `triptych audit licences --store runs/demo --policy licences.yaml --attribution ATTRIBUTION.md`
    """
    rules = policy_in(policy)
    with ledger_of(store, version) as ledger:
        from manifests.audit.attribution import attribution as lines
        from manifests.audit.licences import licences as licences_of

        found = licences_of(ledger, rules)
        if attribution is not None:
            write_file(attribution, "".join(lines(ledger)))
    if as_json:
        echo_json(found)
    else:
        _print(found)
    if found.findings:
        raise typer.Exit(FOUND)


def _print(found: Licences) -> None:
    typer.echo(
        f"{found.root}, version {found.version}: {found.accepted:,} accepted triplets of {found.images:,} images"
    )
    echo_table(
        [
            {
                "licence": share.licence,
                "triplets": share.triplets,
                "share": f"{share.share:.1%}",
                "images": share.images,
                "asks for": ", ".join(_asked(share.attribution, share.share_alike)),
                "text": share.url,
            }
            for share in found.shares
        ]
    )
    echo_table(
        [
            {
                "licence": one.licence,
                "author": one.author,
                "stated by": one.package or one.source,
                "images": one.images,
                "recorded": f"{one.first_recorded} to {one.last_recorded}",
                "url": one.url,
            }
            for one in found.statements[:_STATEMENTS]
        ],
        title="\nAs stated when the images were recorded",
    )
    if len(found.statements) > _STATEMENTS:
        typer.echo(f"and {len(found.statements) - _STATEMENTS:,} more; --json has all")
    typer.echo(
        f"\nMay be passed on: {found.main:,}; apart from the others, for share-alike: {found.separate:,}; "
        f"may not: {found.refused:,}"
    )
    for finding in found.findings:
        typer.echo(f"  {finding}")


_STATEMENTS = 30


def _asked(attribution: bool, share_alike: bool) -> list[str]:
    asked = [name for name, holds in (("attribution", attribution), ("share-alike", share_alike)) if holds]
    return asked or ["nothing"]


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(licences)
