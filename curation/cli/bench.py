"""`triptych bench`: build bench sets, compare checkpoints on them, and tell what came out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from curation.cli.failure import fail
from curation.cli.model import Dtype, model_library
from curation.cli.sample import IdShift, ScheduleShift

if TYPE_CHECKING:
    from rich.progress import Progress

    from uso.bench.bench_set import BenchSet
    from uso.bench.bootstrap import Interval
    from uso.bench.results import Results
    from uso.bench.summary import Summary
    from uso.bench.system import System

app = typer.Typer(
    help="Compare checkpoints on subject-driven, style-driven and joint tasks, with intervals.", no_args_is_help=True
)
build = typer.Typer(help="Build a bench set: images, prompts, and what is to be drawn of them.", no_args_is_help=True)
app.add_typer(build, name="build")

_INTERRUPTED = 130

Out = Annotated[Path, typer.Option(metavar="DIR", help="Folder of the set.")]
_NONE = "none"


@build.command("nano")
def build_nano_set(
    out: Out,
    contents: Annotated[int, typer.Option(min=2, help="Held-out subjects as content references.")] = 24,
    styles: Annotated[int, typer.Option(min=2, help="Styles, each shown by one more held-out subject.")] = 12,
    named: Annotated[int, typer.Option(min=0, help="Training subjects that style prompts name.")] = 4,
    size: Annotated[int, typer.Option(min=32, help="Side of every image, in pixels.")] = 96,
    seed: Annotated[int, typer.Option(min=0, help="Decides what is chosen, and all noise.")] = 0,
    shifted: Annotated[
        str, typer.Option(help="Prompt of pairs that move; `none` leaves them out.")
    ] = "a photo of {subject}",
    style_prompt: Annotated[str, typer.Option(help="Prompt with a style alone; `none` leaves it out.")] = (
        "a photo of {subject}"
    ),
    subject_prompt: Annotated[str, typer.Option(help="Prompt with a content alone; `none` leaves it out.")] = (
        "a photo of {subject}"
    ),
) -> None:
    """Build nano-bench from the atelier: held-out subjects, with the right answer beside each sample.

    Needs the artwork (`triptych corpus fetch`). The same options give the same set.

    Example: `triptych bench build nano --contents 24 --styles 12 --out runs/bench/nano`
    """
    with _mended():
        from curation.bench.nano_set import NanoBenchSpec, build_nano

        spec = NanoBenchSpec(
            contents=contents,
            styles=styles,
            named=named,
            size=size,
            seed=seed,
            shifted=_given(shifted),
            style=_given(style_prompt),
            subject=_given(subject_prompt),
        )
        with _bars() as bar:
            task = bar.add_task("painting")
            bench = build_nano(spec, out, progress=lambda done, every: bar.update(task, completed=done, total=every))
    _tell_set(bench)


@build.command("product")
def build_product_set(
    content: Annotated[Path, typer.Option(metavar="DIR", help="Content images; file names are subjects.")],
    style: Annotated[Path, typer.Option(metavar="DIR", help="Style images; file names are styles.")],
    prompts: Annotated[Path, typer.Option(metavar="FILE", help="YAML: lists `subject`, `style`, `joint`.")],
    out: Out,
    name: Annotated[str, typer.Option(help="What the set is called in tables.")] = "product",
    seed: Annotated[int, typer.Option(min=0, help="Decides all noise.")] = 3407,
) -> None:
    """Build a set of every content image with every style image and every prompt, as USO-Bench is made.

    The empty prompt under `joint` keeps the content's layout.

    Example: `triptych bench build product --content faces --style paintings --prompts prompts.yaml --out runs/own`
    """
    with _mended():
        from uso.bench.product import build_product, read_prompts

        bench = build_product(content, style, read_prompts(prompts), out, name=name, seed=seed)
    _tell_set(bench)


@build.command("dreambench")
def build_dreambench_set(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="DreamBench's `dataset` folder.")],
    images: Annotated[int, typer.Option(min=1, help="Pictures a prompt.")] = 6,
) -> None:
    """Put a `bench.json` into DreamBench's folder: 30 subjects, 25 prompts each.

    Example: `triptych bench build dreambench dreambooth/dataset`
    """
    with _mended():
        from uso.bench.bench_set import write_set
        from uso.bench.dreambench import dreambench_set

        bench = dreambench_set(folder, images=images)
        write_set(bench)
    _tell_set(bench)


@app.command()
def run(
    bench: Annotated[Path, typer.Argument(metavar="SET", help="Folder of a set, or an evaluation JSON of upstream's.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of pictures and results.")],
    system: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=WHAT", help="What to compare: a run's or pipeline's folder, parts, or a baseline."),
    ] = None,
    systems: Annotated[Path | None, typer.Option(metavar="FILE", help="YAML of names and what they are.")] = None,
    size: Annotated[int, typer.Option(min=16, help="Side of the pictures, in pixels.")] = 1024,
    content_side: Annotated[
        int | None, typer.Option(min=16, help="Long side of content references; 512, or the size where that is less.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Euler steps.")] = 25,
    guidance: Annotated[float, typer.Option(min=0, help="Distilled guidance scale.")] = 4.0,
    shift: Annotated[ScheduleShift, typer.Option(help="Sequence length that shifts the schedule.")] = (
        ScheduleShift.UPSTREAM
    ),
    id_shift: Annotated[
        IdShift | None, typer.Option(help="Where content position ids start, instead of as each was trained.")
    ] = None,
    cfg_scale: Annotated[
        float, typer.Option(min=0, help="Classifier-free guidance against no prompt and no references; 1: none.")
    ] = 1.0,
    batch: Annotated[int, typer.Option(min=1, help="Pictures drawn at once.")] = 1,
    dtype: Annotated[Dtype, typer.Option(help="Dtype of network and encoders.")] = Dtype.FLOAT32,
    samples_limit: Annotated[
        int | None, typer.Option(min=1, help="About so many samples, the same share of tasks.")
    ] = None,
    clip: Annotated[str | None, typer.Option(help="CLIP for CLIP-I and CLIP-T: folder or hub name.")] = None,
    dino: Annotated[str | None, typer.Option(help="DINO: folder or hub name.")] = None,
    csd: Annotated[Path | None, typer.Option(help="CSD in safetensors.")] = None,
    workers: Annotated[int, typer.Option(min=1, help="Actors; each loads a system of its own.")] = 1,
    cpus: Annotated[float, typer.Option(min=0, help="Cores of an actor, as Ray counts them.")] = 1.0,
    gpus: Annotated[float, typer.Option(min=0, help="GPUs of an actor.")] = 0.0,
    device: Annotated[str, typer.Option(help="Device inside an actor: cuda, cpu.")] = "cpu",
    address: Annotated[str | None, typer.Option(help="Ray cluster to use; a local one without it.")] = None,
) -> None:
    """Draw every sample by every system, measure, and write table, figures and report.

    What is drawn and measured already is kept: the same command goes on after Ctrl-C or a crash, and ends with the same
    table. The nano encoders measure unless --clip, --dino or --csd name others. Baselines: `copy-content`,
    `copy-style`, and `truth` where the set has it.

    Example: `triptych bench run runs/bench/nano --system uso=runs/nano/stage2 --system base=nano-base --system
    copy-content --system copy-style --system truth --size 96 --steps 12 --shift true --cfg-scale 2 --batch 16 --out
    runs/bench/results`
    """
    with _mended():
        from curation.bench.run import RunSpec, run_bench
        from curation.bench.suite import SuiteSpec
        from uso.bench.bench_set import read_set
        from uso.bench.settings import DrawSettings

        settings = DrawSettings(
            side=size,
            content_side=content_side or min(512, size),
            steps=steps,
            guidance=guidance,
            shift=shift.value,
            id_shift=None if id_shift is None else id_shift.value,
            batch=batch,
            dtype=dtype.value,
            cfg_scale=cfg_scale,
        )
        spec = RunSpec(
            bench=read_set(bench),
            systems=tuple(_systems(system or [], systems)),
            settings=settings,
            suite=SuiteSpec(clip=clip, dino=dino, csd=None if csd is None else str(csd), device=device),
            out=out,
            workers=workers,
            cpus=cpus,
            gpus=gpus,
            device=device,
            address=address,
            limit=samples_limit,
        )
        with _bars() as bar:
            tasks: dict[str, object] = {}

            def show(what: str, done: int, every: int) -> None:
                if what not in tasks:
                    tasks[what] = bar.add_task(what, total=every)
                bar.update(tasks[what], completed=done, total=every)  # type: ignore[arg-type]

            results, summary = run_bench(spec, show)
    _tell_results(results, summary, out)


@app.command()
def report(
    out: Annotated[Path, typer.Argument(metavar="DIR", help="Folder of results (`--out` of `triptych bench run`).")],
) -> None:
    """Write table, figures and report of a finished run again, from its rows and pictures.

    Example: `triptych bench report runs/bench/results`
    """
    with _mended():
        from uso.bench.results import read_results
        from uso.bench.write import write_results

        results = read_results(out)
        summary = write_results(results, out)
    _tell_results(results, summary, out)


def _systems(named: list[str], listed: Path | None) -> list[System]:
    from uso.bench.parse_system import parse_system, read_systems

    return [*(read_systems(listed) if listed is not None else []), *(parse_system(text) for text in named)]


def _short(interval: Interval | None) -> str:
    """Return a mean and half the width of its interval."""
    if interval is None:
        return "-"
    if interval.low is None or interval.high is None:
        return f"{interval.mean:.3f}"
    return f"{interval.mean:.3f} [dim]±{(interval.high - interval.low) / 2:.2f}[/]"


def _given(prompt: str) -> str | None:
    return None if prompt == _NONE else prompt


def _tell_set(bench: BenchSet) -> None:
    from collections import Counter

    tasks = Counter(sample.item.task.value for sample in bench.samples())
    typer.echo(f"{bench.folder}: {sum(tasks.values()):,} samples")
    for task, count in tasks.items():
        typer.echo(f"  {count:>7,}  {task}")


def _tell_results(results: Results, summary: Summary, out: Path) -> None:
    from rich.table import Table

    from uso.bench.columns import COLUMN, TASK_TITLES
    from uso.bench.table import missed_columns, paper_columns
    from uso.bench.write import REPORT, TABLE

    console = Console()
    heads = [*paper_columns(summary), *(head for heads in missed_columns(summary) for head in heads)]
    table = Table("task", "figure", *(str(system["name"]) for system in results.systems), padding=(0, 0, 0, 1))
    before = None
    for task, key in heads:
        if task != before and before is not None:
            table.add_section()
        figures = (_short(summary.figure(str(system["name"]), task, key)) for system in results.systems)
        table.add_row(TASK_TITLES[task] if task != before else "", COLUMN[key].title, *figures)
        before = task
    console.print(table)
    for claim in summary.claims:
        verdict = "[green]yes[/]" if claim.holds else "[red]no[/]"
        console.print(f"{claim.system} over {claim.other}, {COLUMN[claim.column].title}: {verdict}")
    console.print(f"{out / TABLE}, {out / REPORT}", soft_wrap=True)


@contextmanager
def _bars() -> Iterator[Progress]:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True)) as bar:
        yield bar


@contextmanager
def _mended() -> Iterator[None]:
    """Turn what the user can mend into one line and exit code 2, and Ctrl-C into what to do next."""
    from curation.cluster import ClusterError
    from curation.corpus.cache import CorpusMissing

    try:
        with model_library():
            yield
    except (CorpusMissing, ClusterError) as error:
        raise fail(str(error)) from error
    except KeyboardInterrupt as interrupt:
        Console(stderr=True).print("Stopped; the same command goes on where it stopped.")
        raise typer.Exit(_INTERRUPTED) from interrupt
