"""`triptych audit datasheet`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from curation.cli.audit._options import AsJson, AtVersion, StorePath, ledger_of, write_file
from curation.cli.audit._output import echo_json

_UNPRINTED = ("accepted_shown", "rejected_shown")


def datasheet(
    store: StorePath,
    out: Annotated[Path, typer.Option("--out", metavar="FILE", help="Where the page goes.")] = Path("datasheet.html"),
    version: AtVersion = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the data set; the store's unless given.")] = None,
    as_json: AsJson = False,
) -> None:
    """Write a page to read and print: what the data set is, made how, from what, filtered how, and its limits.

    Example: `triptych audit datasheet --store runs/demo --out datasheet.html`
    """
    with ledger_of(store, version) as ledger:
        from manifests.audit.datasheet import datasheet as gather
        from manifests.audit.datasheet import datasheet_page

        sheet = gather(ledger, name=name)
    write_file(out, datasheet_page(sheet))
    if as_json:
        echo_json({key: value for key, value in asdict(sheet).items() if key not in _UNPRINTED})
    else:
        typer.echo(f"{sheet.name}: {sheet.accepted:,} triplets, {len(sheet.licences)} licences; {out}")


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(datasheet)
