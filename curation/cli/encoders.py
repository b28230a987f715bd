"""`triptych encoders`: fit the nano encoders on the atelier, and measure them on subjects that they have not seen."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from curation.cli.failure import fail

if TYPE_CHECKING:
    from rich.progress import Progress

    from curation.encoders.report import HeldOut
    from workers.encoders.evaluate import Evaluation
    from workers.encoders.recipe import Recipe

app = typer.Typer(help="Fit and measure the nano encoders, which say how images are made and what they show.")

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to stdout, and nothing else.")]

_INTERRUPTED = 130


@app.command()
def fit(
    out: Annotated[Path, typer.Option(metavar="FILE", help="Weights to write (safetensors).")] = Path(
        "runs/encoders/nano.safetensors"
    ),
    steps: Annotated[int | None, typer.Option(min=1, help="Steps, instead of the recipe's.")] = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Seed, instead of the recipe's.")] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads of the fit; more than are idle make it slower.")] = 1,
    left_out_family: Annotated[str | None, typer.Option(metavar="NAME", help="Family to keep unseen.")] = None,
    left_out_treatment: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Treatment to keep unseen; may be repeated.")
    ] = None,
) -> None:
    """Fit a tower on the atelier, and measure it. The default recipe is that of the shipped weights.

    Folds 8 and 9 of the subjects, one family and two treatments stay unseen. Ctrl-C stops; the same command goes on.
    Writes recipe, figures and sha256 beside the weights, as JSON.

    Example: `triptych encoders fit --steps 500 --out runs/encoders/quick.safetensors`
    """
    if out.suffix != ".safetensors":
        raise fail(f"--out {out}: weights are written as safetensors; name the file *.safetensors")
    with _mended():
        import torch

        from curation.encoders.fitting import fit_on_atelier
        from workers.encoders.recipe import Recipe

        given = {
            "steps": steps,
            "seed": seed,
            "left_out_family": left_out_family,
            "left_out_treatments": tuple(left_out_treatment) if left_out_treatment else None,
        }
        recipe = Recipe(**{key: value for key, value in given.items() if value is not None})
        torch.set_num_threads(threads)
        with _progress() as bar:
            figures = fit_on_atelier(recipe, out, processes=_processes(), progress=_Tasks(bar))
    typer.echo(f"{out} and {out.with_suffix('.json')}: {_headline(figures)}")


@app.command("eval")
def evaluate(
    weights: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Weights to measure; those of the package unless given.")
    ] = None,
    as_json: AsJson = False,
    out: Annotated[Path | None, typer.Option(metavar="DIR", help="Also write evaluation.json, confusion.png.")] = None,
    subjects: Annotated[int, typer.Option(min=2, help="Measure on at most this many held-out subjects.")] = 1000,
    baselines: Annotated[bool, typer.Option(help="Measure pretrained encoders on the same pairs, too.")] = False,
) -> None:
    """Measure on held-out subjects: how well pairs of one style, or of one subject, are told from other pairs.

    Figures are areas under ROC curves: 1 is perfect, 0.5 is chance. `--baselines` needs the extra `baselines`.

    Example: `triptych encoders eval --baselines --subjects 40 --out runs/encoders`
    """
    with _mended():
        from curation.encoders.report import BASELINES, draw, measure, measure_baseline, table_of
        from uso.nano.weights import SHIPPED
        from workers.encoders.load import NanoEncoder

        encoder = NanoEncoder(weights)
        recipe = _recipe_of(weights or SHIPPED)
        images = _held_out(recipe, subjects)
        measured = {"nano": measure(encoder, images, recipe)}
        for name in BASELINES if baselines else ():
            measured[name] = measure_baseline(name, images, recipe)
        ours = measured["nano"]
        result = {
            "weights": encoder.digest,
            "subjects": len({work.subject for work in images.drawn.works}),
            "images": len(images.drawn.works),
            "figures": {
                name: {key: round(area, 4) for key, area in it.figures.items()} for name, it in measured.items()
            },
            "by_family": table_of(ours, images.drawn.works, "family"),
            "by_treatment": table_of(ours, images.drawn.works, "treatment"),
        }
        if out is not None:
            out.mkdir(parents=True, exist_ok=True)
            draw(ours, images.drawn.works, out / "confusion.png")
            (out / "evaluation.json").write_text(json.dumps(result, indent=1) + "\n")
    if as_json:
        typer.echo(json.dumps(result, indent=1))
    else:
        _print(measured, result)


@app.command("csd-convert")
def csd_convert(
    checkpoint: Annotated[Path, typer.Argument(metavar="SRC", help="CSD's released checkpoint, a pickle.")],
    out: Annotated[Path, typer.Argument(metavar="OUT", help="Weights to write (safetensors).")],
) -> None:
    """Convert CSD's released checkpoint into safetensors, once; nothing in it is run, and jobs load only the result.

    Missing and unexpected weights are refused by name.

    Example: `triptych encoders csd-convert checkpoint.pth runs/encoders/csd.safetensors`
    """
    if out.suffix != ".safetensors":
        raise fail(f"{out}: weights are written as safetensors; name the file *.safetensors")
    if not checkpoint.is_file():
        raise fail(f"{checkpoint}: no such file; give the checkpoint of CSD's release")
    with _mended():
        from manifests.identities import digest_of_file
        from uso.training.reward.csd import convert_released

        convert_released(checkpoint, out)
        typer.echo(f"{out}: sha256 {digest_of_file(out)}")


def _held_out(recipe: Recipe, subjects: int) -> HeldOut:
    from curation.encoders.fitting import treatments_of
    from curation.encoders.report import held_out

    with _progress() as bar:
        return held_out(treatments_of(recipe), subjects=subjects, processes=_processes(), progress=_Tasks(bar))


def _recipe_of(weights: Path) -> Recipe:
    """Return the recipe beside some weights, or the default one where there is none."""
    from workers.encoders.recipe import Recipe

    beside = weights.with_suffix(".json")
    return Recipe(**json.loads(beside.read_text())["recipe"]) if beside.exists() else Recipe()


def _print(measured: dict[str, Evaluation], result: dict[str, Any]) -> None:
    from rich.table import Table

    console = Console()
    table = Table(
        caption=f"{result['images']:,} images of {result['subjects']} held-out subjects; areas under ROC curves"
    )
    table.add_column("pairs")
    for name in measured:
        table.add_column(name, justify="right")
    for key in next(iter(measured.values())).figures:
        table.add_row(key.replace("_", " "), *(f"{evaluation.figures[key]:.3f}" for evaluation in measured.values()))
    console.print(table)
    for by in ("family", "treatment"):
        areas: dict[str, dict[str, float]] = result[f"by_{by}"]
        grid = Table(title=f"styles told apart by {by}, the other being equal", padding=(0, 0, 0, 1))
        grid.add_column("")
        for number in range(1, len(areas) + 1):
            grid.add_column(str(number), justify="right", no_wrap=True)
        for number, (name, row) in enumerate(areas.items(), start=1):
            grid.add_row(
                f"{number} {name}", *("" if other == name else f"{row.get(other, float('nan')):.2f}" for other in areas)
            )
        console.print(grid)


def _headline(figures: dict[str, float]) -> str:
    return ", ".join(f"{key} {figures[key]:.3f}" for key in ("subject", "subject_moved", "style"))


def _processes() -> int:
    return len(os.sched_getaffinity(0))


class _Tasks:
    """Shows each kind of work as a bar of its own."""

    def __init__(self, bar: Progress) -> None:
        self._bar = bar
        self._tasks: dict[str, Any] = {}

    def __call__(self, what: str, done: int, every: int, note: str = "") -> None:
        if what not in self._tasks:
            self._tasks[what] = self._bar.add_task(what, total=every, note=note)
        self._bar.update(self._tasks[what], completed=done, total=every, note=note)


@contextmanager
def _progress() -> Iterator[Progress]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield bar


@contextmanager
def _mended() -> Iterator[None]:
    """Turn what the user can mend into one line and exit code 2."""
    from curation.corpus.cache import CorpusMissing

    try:
        yield
    except (CorpusMissing, ImportError, ValueError, OSError) as error:
        raise fail(str(error)) from error
    except KeyboardInterrupt as interrupt:
        Console(stderr=True).print("Stopped; the same command goes on where it stopped.")
        raise typer.Exit(_INTERRUPTED) from interrupt
