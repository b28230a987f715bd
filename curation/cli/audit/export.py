"""`triptych audit export`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console

from curation.cli.audit._options import FOUND, AsJson, AtVersion, StorePath, ledger_of, policy_in
from curation.cli.audit._output import echo_json
from curation.cli.failure import fail

if TYPE_CHECKING:
    from manifests.audit.ledger import Ledger


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
    c2pa_cert: Annotated[
        Path | None,
        typer.Option("--c2pa-cert", metavar="FILE", help="Sign such images with C2PA: certificate chain (PEM)."),
    ] = None,
    c2pa_key: Annotated[
        Path | None, typer.Option("--c2pa-key", metavar="FILE", help="The chain's private key (PEM, ECDSA P-256).")
    ] = None,
    licences: Annotated[
        Path | None, typer.Option("--licences", metavar="FILE", help="Licence policy; what it refuses is kept out.")
    ] = None,
    part: Annotated[
        Literal["main", "share-alike"],
        typer.Option("--part", help="Which part, where the policy keeps share-alike licences separate."),
    ] = "main",
    against: Annotated[
        list[Path] | None,
        typer.Option(
            "--against",
            metavar="DIR",
            exists=True,
            file_okay=False,
            help="Refuse to export images that are evaluation images, or nearly so; may be repeated.",
        ),
    ] = None,
    drop: Annotated[bool, typer.Option("--drop", help="With --against: leave such triplets out instead.")] = False,
    as_json: AsJson = False,
) -> None:
    """Export accepted triplets as a folder that `datasets` loads, with Croissant metadata, card and attributions.

    What was cut off goes on with the same command. `--against` holds the images against evaluation images first, and
    refuses (exit code 1) where some are the same.

    Example: `triptych audit export --store runs/demo --out runs/export --where "layout = 'shifted'"`
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    if (c2pa_cert is None) != (c2pa_key is None):
        raise fail("--c2pa-cert and --c2pa-key go together: a certificate chain, and its private key")
    policy = policy_in(licences)
    columns = (TextColumn("exporting"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with ledger_of(store, version) as ledger:
        from manifests.export.credentials import Credentials
        from manifests.export.folder import export as write

        without = _contaminated(ledger, against, drop=drop) if against else []
        signing = Credentials(c2pa_cert, c2pa_key, title=name or "triptych") if c2pa_cert and c2pa_key else None
        with Progress(*columns, console=Console(stderr=True)) as bars:
            bar = bars.add_task("triplets", total=None, visible=False)
            done = write(
                ledger,
                out,
                form=form,
                where=where,
                name=name,
                mark=mark,
                credentials=signing,
                licences=policy,
                licence_part=part,
                without=without,
                progress=lambda count, of: bars.update(bar, completed=count, total=of, visible=True),
            )
    if as_json:
        echo_json({**asdict(done), "folder": str(done.folder)})
        return
    typer.echo(f"{done.rows:,} triplets of version {done.version} in {done.files} files, {done.bytes / 1e6:,.1f} MB")
    for reason, count in done.refused.items():
        typer.echo(f"  kept out   {count:,} triplets: {reason}")
    if done.apart:
        typer.echo(f"  apart      {done.apart:,} triplets belong into the other part; see --part")
    typer.echo(f"  load with  datasets.load_dataset({str(done.folder)!r})")
    typer.echo(f"  described  {done.folder / 'README.md'}, {done.folder / 'croissant.json'}")
    typer.echo(f"  credits    {done.folder / 'ATTRIBUTION.md'}")


def _contaminated(ledger: Ledger, folders: list[Path], *, drop: bool) -> list[str]:
    """Return the triplets to leave out; where they are not to be, end the command."""
    from curation.cli.audit.contamination import compared

    found = compared(ledger, folders)
    if found.unreadable:
        raise fail(f"--against: {found.unreadable[0]}; mend the image, or take it out of the folder")
    if found.candidates and not drop:
        raise fail(
            f"{len(found.candidates):,} triplets have evaluation images, or nearly so (`triptych audit contamination` "
            "shows them); nothing was exported. --drop leaves them out",
            code=FOUND,
        )
    return list(found.candidates)


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(export)
