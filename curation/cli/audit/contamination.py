"""`triptych audit contamination`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from curation.cli.audit._options import FOUND, AsJson, AtVersion, StorePath, ledger_of, write_file
from curation.cli.audit._output import echo_json, echo_table

if TYPE_CHECKING:
    from curation.contamination import Contaminated
    from manifests.audit.ledger import Ledger

Against = Annotated[
    list[Path],
    typer.Option("--against", metavar="DIR", exists=True, file_okay=False, help="Evaluation images; may be repeated."),
]

_SHOWN = 20


def contamination(
    store: StorePath,
    against: Against,
    version: AtVersion = None,
    bits: Annotated[
        int, typer.Option(min=0, max=128, help="Differing bits of the 256-bit perceptual hash up to which it is found.")
    ] = 24,
    cosine: Annotated[
        float, typer.Option(min=0, max=1, help="Cosine of style and subject vectors from which it is found.")
    ] = 0.97,
    embedding: Annotated[
        bool, typer.Option(help="Compare by the nano encoder, too: slower, finds more than copies.")
    ] = True,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with the pairs side by side.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Find images of accepted triplets that are evaluation images, or nearly so: USO-Bench, DreamBench, any folder.

    Exit code 1 where there are some. `triptych audit export --against DIR` keeps a contaminated set from going out.

    Example: `triptych audit contamination --store runs/demo --against runs/demo-bench --html pairs.html`
    """
    with ledger_of(store, version) as ledger:
        found = compared(ledger, against, bits=bits, cosine=cosine if embedding else None)
        if html is not None:
            from curation.report.contamination_page import contamination_page

            write_file(html, contamination_page(ledger, found, against))
    if as_json:
        echo_json({**asdict(found), "findings": found.findings})
    else:
        _print(found)
    if found.findings:
        raise typer.Exit(FOUND)


def compared(ledger: Ledger, folders: list[Path], *, bits: int = 24, cosine: float | None = 0.97) -> Contaminated:
    """Compare a store's images with folders, with a progress bar; without a cosine by perceptual hash alone."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    from curation.contamination import contamination as compare
    from workers.towers.load import build_tower
    from workers.towers.settings import NanoSettings

    columns = (TextColumn("comparing images"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        bar = bars.add_task("images", total=None)
        return compare(
            ledger,
            folders,
            bits=bits,
            cosine=cosine,
            tower=None if cosine is None else build_tower(NanoSettings()),
            progress=lambda done, total: bars.update(bar, completed=done, total=total),
        )


def _print(found: Contaminated) -> None:
    typer.echo(
        f"{found.root}, version {found.version}: {len(found.pairs):,} of {found.images:,} images of accepted triplets "
        f"are among {found.evaluation_images:,} evaluation images, or nearly so; {len(found.candidates):,} triplets "
        "have one"
    )
    echo_table(
        [
            {
                "image": pair.asset_id[:16],
                "role": pair.role,
                "triplets": pair.triplets,
                "evaluation image": pair.evaluation,
                "evidence": pair.evidence,
                "bits apart": pair.bits,
                "cosine": pair.cosine,
            }
            for pair in found.pairs[:_SHOWN]
        ]
    )
    if len(found.pairs) > _SHOWN:
        typer.echo(f"and {len(found.pairs) - _SHOWN:,} more; --json has all")
    for line in found.unreadable:
        typer.echo(f"  not compared: {line}")


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(contamination)
