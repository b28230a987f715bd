"""`triptych model`: weight files of FLUX and USO, the check against the original network, and what a network costs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from curation.cli.failure import fail

app = typer.Typer(
    help="Weight files of FLUX and USO, the check against the original network, and what a network costs.",
    no_args_is_help=True,
)


class Target(StrEnum):
    """Values of `--to`."""

    BFL = "bfl"
    DIFFUSERS = "diffusers"
    RELEASE = "release"
    COMFYUI = "comfyui"


class Dtype(StrEnum):
    """Values of `--dtype`."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"


class Preset(StrEnum):
    """Values of `--preset`."""

    FLUX_DEV = "flux-dev"
    NANO = "nano"
    TINY = "tiny"


@contextmanager
def model_library() -> Iterator[None]:
    """End the command in one line when the libraries of the `model` extra are not installed, or a file is at fault."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise fail(f"{error.name} is not installed; install the extra with `pip install 'triptych[model]'`") from error
    except (ValueError, OSError) as error:
        raise fail(str(error)) from error


@app.command()
def inspect(
    path: Annotated[Path, typer.Argument(help="A .safetensors file, or a diffusers folder.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Print what a weight file is: family, parameters, rank, dtype, and what would load it. Reads headers only.

    Ends with code 1 when the file is of a known family but would not load.

    Example: `triptych model inspect dit_lora.safetensors`
    """
    with model_library():
        from uso.inspection import inspect_file

        found = inspect_file(path)
    if as_json:
        typer.echo(json.dumps(asdict(found), indent=2))
    else:
        from rich.table import Table

        table = Table(show_header=False, box=None)
        rows = {
            "file": found.path,
            "family": found.family,
            "tensors": f"{found.tensors:,}",
            "parameters": ", ".join(
                f"{count:,}" if part == "all" else f"{part} {count:,}" for part, count in found.parameters.items()
            ),
            "dtype": ", ".join(f"{dtype} ({count})" for dtype, count in found.dtypes.items()),
            "sizes": ", ".join(f"{name} {size}" for name, size in found.sizes.items()),
            "rank": "" if found.rank is None else str(found.rank),
            "loads with": found.loads_with,
            "problem": found.problem or "",
        }
        for name, value in rows.items():
            if value:
                table.add_row(f"[bold]{name}", value.replace("[", "\\["))
        Console(soft_wrap=False).print(table)
    if found.problem:
        raise typer.Exit(1)


@app.command()
def convert(
    source: Annotated[Path, typer.Argument(help="A BFL file, a diffusers folder, a USO LoRA or a USO projector.")],
    destination: Annotated[Path, typer.Argument(help="File to write; for `diffusers`, a folder.")],
    to: Annotated[Target, typer.Option("--to", help="Layout to write.")],
    merge_lora: Annotated[Path | None, typer.Option("--merge-lora", help="USO LoRA to add to a base for good.")] = None,
    dtype: Annotated[Dtype | None, typer.Option(help="Dtype to write; the source's without it.")] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace what is at the destination.")] = False,
) -> None:
    """Turn a weight file into another layout: BFL, diffusers, USO release, ComfyUI. Exact to the bit.

    Holds the weights in memory once: about 24 GB for FLUX.1-dev in bfloat16.

    Example: `triptych model convert flux1-dev.safetensors flux-diffusers --to diffusers`
    """
    if destination.exists() and not overwrite:
        raise fail(f"{destination} is there already; add --overwrite to replace it")
    console = Console(stderr=True)
    with model_library(), console.status(f"Converting {source.name} to {to.value}"):
        import torch

        from uso import convert as conversion

        chosen = None if dtype is None else getattr(torch, dtype.value)
        written = conversion.convert(source, conversion.Target(to.value), destination, merge=merge_lora, dtype=chosen)
    typer.echo(f"{destination}: {written}.")


@app.command("check-reference")
def check_reference(
    path: Annotated[Path, typer.Argument(help="A safetensors file of reference vectors, of any size.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Compute every output of a reference file with our network, and print how far each is from it.

    Velocities are held to 1e-5, everything else to 1e-4. Ends with code 1 when any is further off.

    Example: `triptych model check-reference uso_reference_tiny.safetensors`
    """
    from rich.progress import track

    with model_library():
        from uso.reference import check_reference as differences
        from uso.reference_file import load_reference

        reference = load_reference(path)
        steps = differences(reference)
        count = len(reference.outputs())
        found = list(track(steps, "Outputs", total=count, console=Console(stderr=True), transient=True))
    beyond = [difference for difference in found if not difference.within]
    if as_json:
        typer.echo(json.dumps([asdict(difference) | {"within": difference.within} for difference in found], indent=2))
    else:
        from rich.table import Table

        table = Table(box=None)
        table.add_column("output", overflow="fold")
        for heading in ("largest difference", "tolerance", ""):
            table.add_column(heading, justify="right")
        for each in found:
            verdict = "ok" if each.within else "[red]beyond"
            table.add_row(each.output, f"{each.largest:.2e}", f"{each.tolerance:.0e}", verdict)
        Console().print(table)
        typer.echo(f"{len(found) - len(beyond)} of {len(found)} outputs within tolerance.")
    if beyond:
        raise typer.Exit(1)


@app.command()
def cost(
    preset: Annotated[Preset, typer.Option(help="Size of the network.")] = Preset.FLUX_DEV,
    rank: Annotated[int, typer.Option(min=1, help="Rank of the LoRA that is trained.")] = 128,
    text: Annotated[int, typer.Option(min=1, help="Text tokens of a prompt.")] = 512,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Print parameters, operations and activation memory at 512, 768 and 1024 px, with and without references.

    Per sample. Operations count matrix products (2 per multiply-add); a training step is forward and backward with
    the LoRA trained and the base frozen; memory is what autograd keeps in bfloat16, plainly and with gradient
    checkpointing.

    Example: `triptych model cost --preset flux-dev`
    """
    with model_library():
        from uso.cost import cost_table, count_parameters
        from uso.presets import preset as preset_named

        shape = preset_named(preset.value)
        parameters = count_parameters(shape, rank)
        rows = cost_table(shape, rank, text)
    if as_json:
        listing = [asdict(row) for row in rows]
        typer.echo(json.dumps({"parameters": asdict(parameters), "costs": listing}, indent=2))
        return
    from rich.table import Table

    table = Table(title=f"{preset.value}, LoRA rank {rank}, per sample")
    for heading in ("px", "references"):
        table.add_column(heading)
    for heading in ("tokens", "forward TFLOP", "train TFLOP", "with checkp.", "kept GiB", "with checkp."):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            str(row.side),
            row.references,
            f"{row.tokens:,}",
            f"{row.forward_flops / 1e12:,.3f}",
            f"{row.training_flops / 1e12:,.3f}",
            f"{row.checkpointed_flops / 1e12:,.3f}",
            f"{row.saved_bytes / 2**30:,.3f}",
            f"{row.checkpointed_bytes / 2**30:,.3f}",
        )
    Console().print(table)
    typer.echo(
        f"Parameters: base {parameters.base:,}, LoRA {parameters.lora:,}, projector {parameters.projector:,}; "
        f"the base takes {2 * parameters.base / 2**30:,.2f} GiB in bfloat16."
    )
