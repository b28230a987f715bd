"""`triptych bank`: reference banks for CSLS, built once and used by many jobs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from curation.cli.curate import AsJson, Overrides, SpecPath, load_job
from curation.cli.failure import fail

if TYPE_CHECKING:
    from curation.bank import BankFacts, Progress

app = typer.Typer(help="Build and show reference banks, against which style similarity is corrected for hubs.")


@app.command()
def build(
    spec: SpecPath,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Bank to write (safetensors).")],
    images: Annotated[int, typer.Option(min=16, max=65536, metavar="N", help="Images in the bank.")] = 2048,
    folder: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Take images below this folder, not the spec's sources.")
    ] = None,
    overrides: Overrides = None,
) -> None:
    """Embed images with a spec's style tower, and write their vectors for `scores.bank`.

    Images are drawn from all styles of the spec's sources evenly, held-out subjects never among them, or from a folder
    of your own. The file holds vectors alone, and who made them; a job with another style tower refuses it.

    Examples:

    `triptych bank build jobs/demo.yaml --out runs/banks/nano.safetensors`

    `triptych bank build jobs/demo.yaml --out runs/banks/art.safetensors --folder art --images 4096`
    """
    if out.suffix != ".safetensors":
        raise fail(f"--out {out}: banks are written as safetensors; name the file *.safetensors")
    if folder is not None and not folder.is_dir():
        raise fail(f"--folder {folder}: is no folder of images")
    loaded = load_job(spec, [*(overrides or []), "scores.bank=512"])
    from curation.bank import BankError, BankFacts, embed_bank, folder_pictures, save_bank, spec_pictures
    from curation.context import gallery_of
    from curation.experts import device_of
    from curation.scoring import build_style_tower

    with _mended(), _bar(images) as advance:
        tower = build_style_tower(loaded, device=device_of(loaded.stages.score))
        if folder is None:
            pictures = spec_pictures(loaded, gallery_of(loaded), images)
            made_of = f"{loaded.name}: {', '.join(source.name or source.kind for source in loaded.sources)}"
        else:
            pictures, made_of = folder_pictures(folder, loaded, images), f"folder {folder.resolve().name}"
        vectors = embed_bank(pictures, tower, advance)
        if len(vectors) < loaded.scores.neighbours:
            raise BankError(f"{len(vectors)} images could be read, scores.neighbours is {loaded.scores.neighbours}")
        facts = BankFacts(tower.digest, loaded.scores.style.kind, len(vectors), vectors.shape[1], made_of)
        save_bank(out, vectors, facts)
    typer.echo(f"{out}: {_sentence(facts)}")


@app.command()
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A bank that `triptych bank build` made.")],
    as_json: AsJson = False,
) -> None:
    """Say what a bank was made of, and by which tower.

    Example: `triptych bank show runs/banks/nano.safetensors`
    """
    from curation.bank import BankError, bank_facts

    try:
        facts = bank_facts(file)
    except BankError as error:
        raise fail(str(error)) from None
    typer.echo(json.dumps(asdict(facts), indent=1) if as_json else f"{file}: {_sentence(facts)}")


def _sentence(facts: BankFacts) -> str:
    return (
        f"{facts.images:,} vectors of {facts.width} numbers by {facts.kind} {facts.tower[:12]}, made of {facts.made_of}"
    )


@contextmanager
def _bar(images: int) -> Iterator[Progress]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task("images embedded", total=images)
        yield lambda done: bar.update(task, completed=done)


@contextmanager
def _mended() -> Iterator[None]:
    """Turn what the user can mend into one line and exit code 2."""
    from curation.corpus.cache import CorpusMissing

    try:
        yield
    except (CorpusMissing, ImportError, ValueError, OSError) as error:
        raise fail(str(error)) from error
