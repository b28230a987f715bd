"""`triptych nano`: the small family that ships, what it is made of, and packing a newly trained one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from curation.cli.model import model_library

app = typer.Typer(
    help="The nano family: small networks, trained on the atelier, that ship with the package.", no_args_is_help=True
)


@app.command()
def show() -> None:
    """Print the members that ship: what each was trained on, how its loss fell, and its size.

    Example: `triptych nano show`
    """
    with model_library():
        from uso.nano.family import family_folder, read_family, weight_bytes

        record, folder = read_family(), family_folder()
    table = Table("member", "trained", "parameters", "steps x batch", "loss", "MB")
    total = 0
    for member, facts in record.items():
        size = weight_bytes(facts)
        total += size
        recipe, losses = facts["recipe"], facts["heldout"] or facts["train"]
        table.add_row(
            member,
            ", ".join(recipe["train"]),
            f"{facts['trained_parameters'] / 1e6:.1f} M",
            f"{recipe['steps']:,} x {recipe['batch']['size']}",
            f"{losses[0][1]:.3f} to {losses[-1][1]:.3f}, {'held-out' if facts['heldout'] else 'training'}",
            f"{size / 1e6:.1f}",
        )
    console = Console()
    console.print(table)
    console.print(f"{total / 1e6:.1f} MB of weights in {folder}", soft_wrap=True)


@app.command()
def pack(
    runs: Annotated[Path, typer.Option(help="Folder of the trained runs: base, stylize, destylize.")] = Path(
        "runs/nano"
    ),
    out: Annotated[Path | None, typer.Option(help="Where the family is written; the package's own without it.")] = None,
    curves: Annotated[Path | None, typer.Option(help="Also draw the held-out losses into this PNG.")] = None,
) -> None:
    """Pack trained runs into a family: bfloat16 weights, and a record of recipes, data, losses and sha256.

    Example: `triptych nano pack --runs runs/nano --curves docs/images/nano-curves.png`
    """
    with model_library():
        from uso.nano.family import FAMILY, weight_bytes
        from uso.nano.pack import draw_curves, pack_family

        place = out or FAMILY
        record = pack_family(runs, place)
        if curves is not None:
            draw_curves(record, curves)
    size = sum(weight_bytes(facts) for facts in record.values())
    typer.echo(f"{place}: {', '.join(record)}, {size / 1e6:.1f} MB of weights")
