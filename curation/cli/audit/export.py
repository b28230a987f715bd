"""`triptych audit export`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.console import Console

from curation.cli.audit._options import AsJson, AtVersion, StorePath, ledger_of
from curation.cli.audit._output import echo_json


def export(
    store: StorePath,
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the export goes; it may not exist yet.")],
    version: AtVersion = None,
    form: Annotated[
        Literal["parquet", "csv", "table"],
        typer.Option("--form", help="parquet holds the images; csv and table (Parquet) hold all but the images."),
    ] = "parquet",
    where: Annotated[
        str | None, typer.Option("--where", metavar="SQL", help="Only triplets of which this holds.")
    ] = None,
    name: Annotated[str | None, typer.Option("--name", help="Name of the data set; the store's unless given.")] = None,
    mark: Annotated[
        bool, typer.Option("--mark", help="Mark images that were drawn or painted (IPTC, as XMP).")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Export accepted triplets as a folder that `datasets` loads, with Croissant metadata, card and attributions.

    What was cut off goes on with the same command.

    Example: `triptych audit export --store runs/demo --out runs/export --where "layout = 'shifted'"`
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("exporting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with ledger_of(store, version) as ledger, Progress(*columns, console=Console(stderr=True)) as bars:
        from manifests.export.folder import export as write

        bar = bars.add_task("triplets", total=None, visible=False)
        done = write(
            ledger,
            out,
            form=form,
            where=where,
            name=name,
            mark=mark,
            progress=lambda count, of: bars.update(bar, completed=count, total=of, visible=True),
        )
    if as_json:
        echo_json({**asdict(done), "folder": str(done.folder)})
        return
    typer.echo(f"{done.rows:,} triplets of version {done.version} in {done.files} files, {done.bytes / 1e6:,.1f} MB")
    typer.echo(f"  load with  datasets.load_dataset({str(done.folder)!r})")
    typer.echo(f"  described  {done.folder / 'README.md'}, {done.folder / 'croissant.json'}")
    typer.echo(f"  credits    {done.folder / 'ATTRIBUTION.md'}")


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(export)
