"""`triptych curate simulate`: how long, how busy, which bottleneck, what cost, before anything is rented."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from curation.cli.failure import fail
from curation.cli.stores import existing_store

if TYPE_CHECKING:
    from curation.simulate.advise import Advice
    from curation.simulate.outcome import Outcome
    from curation.simulate.times import StageTime
    from curation.spec.model import JobSpec


def simulate(
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="Job spec (YAML); `jobs/` has ready ones.")],
    nodes: Annotated[int, typer.Option(min=1, max=10_000, help="Machines to rent.")] = 1,
    gpus: Annotated[float, typer.Option(min=0, max=64, help="GPUs of each.")] = 0,
    cpus: Annotated[float, typer.Option(min=0.1, max=4096, help="CPU cores of each.")] = 16,
    targets: Annotated[int | None, typer.Option(min=1, help="Targets; those of the spec unless given.")] = None,
    seconds: Annotated[
        list[str] | None,
        typer.Option(metavar="STAGE=ROW", help="Seconds a row; `+CALL` for each call, `@START` to load the model."),
    ] = None,
    store: Annotated[
        str | None, typer.Option("--from", metavar="DIR", help="Take times from what this store's candidates took.")
    ] = None,
    gpu_price: Annotated[float, typer.Option(min=0, help="Price of a GPU for an hour.")] = 0,
    node_price: Annotated[float, typer.Option(min=0, help="Price of a machine for an hour, without its GPUs.")] = 0,
    attempts: Annotated[int, typer.Option(min=1, max=16, help="Attempts that a candidate has at most.")] = 1,
    again: Annotated[float, typer.Option(min=0, max=1, help="Share of candidates that are tried again.")] = 0,
    losses: Annotated[float, typer.Option(min=0, help="How often an hour a machine is lost (spot).")] = 0,
    spread: Annotated[float, typer.Option(min=0, max=1, help="Relative deviation of the time of a task.")] = 0,
    object_store_gb: Annotated[float, typer.Option(min=0.05, help="Ray's object store on each machine.")] = 8,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a picture: .svg, .png or .pdf.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="a.b=c", help="Override a key of the spec; may be repeated.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON to stdout, and nothing else.")] = False,
) -> None:
    """Say what a job would take on machines not rented yet: hours, busy shares, bottleneck, cost, what to change.

    Times of the stages are those given, else those of a store, else those of a dozen targets run here.

    Example: `triptych curate simulate jobs/demo.yaml --nodes 2 --gpus 8 --targets 500000 --gpu-price 2.5
    --seconds stylize=0.5@40 --seconds destylize=0.5@40 --seconds score=0.02`
    """
    from curation.cli.curate import load_job
    from curation.corpus.cache import CorpusMissing
    from curation.experts import ExpertError
    from curation.job import NothingToDoError
    from curation.simulate.advise import advise, follow
    from curation.simulate.job import Attempts, graph_work, ingest_work, simulate_attempts
    from curation.simulate.model import DoesNotFitError, Machines
    from curation.simulate.times import UnknownTimeError, parse_paces, stage_times

    loaded = load_job(spec, overrides)
    if out is not None and out.suffix not in (".svg", ".png", ".pdf"):
        raise fail(f"--out {out}: end it in .svg, .png or .pdf")
    existing = existing_store(store) if store else None
    try:
        given = parse_paces(seconds or [], ["ingest", *loaded.pools()])
        times = stage_times(loaded, given, existing)
        count = targets or _count_targets(loaded)
        machines = Machines(nodes, gpus, cpus, object_store_gb, losses)
        candidates = count * (loaded.layouts.preserved + loaded.layouts.shifted)
        work = graph_work(loaded, times, candidates, machines, spread=spread)
        tried = Attempts(attempts, again)
        ingest = simulate_attempts(ingest_work(loaded, times, count, machines), Attempts())
        outcome = _with_bar(lambda progress: simulate_attempts(work, tried, progress))
    except (UnknownTimeError, DoesNotFitError, CorpusMissing, ExpertError, NothingToDoError) as error:
        raise fail(str(error)) from None
    advice = advise(outcome)
    changed = [one for one in advice if one.settings]
    try:
        better = simulate_attempts(follow(work, changed), tried) if changed else None
    except DoesNotFitError:
        better = None
    if out is not None:
        from curation.simulate.picture import draw

        draw(outcome, out)

    def price(one: Outcome) -> float:
        return sum(part.cost(gpu_hour=gpu_price, node_hour=node_price) for part in (ingest, one))

    if as_json:
        payload = {
            "targets": count,
            "candidates": candidates,
            "hours": round((ingest.seconds + outcome.seconds) / 3600, 4),
            "cost": round(price(outcome), 2),
            "ingest": ingest.to_json(),
            "graph": outcome.to_json(),
            "times": {name: _time_json(time) for name, time in times.items()},
            "advice": [vars(one) for one in advice],
            "followed": better.to_json() | {"cost": round(price(better), 2)} if better else None,
        }
        typer.echo(json.dumps(payload, indent=1))
        return
    _print(loaded, outcome, ingest, times)
    _print_cost(price(outcome) if gpu_price or node_price else None, outcome)
    _print_advice(advice, better, ingest, price(better) if better and (gpu_price or node_price) else None)
    if out is not None:
        Console().print(f"picture  {out}", highlight=False, soft_wrap=True)


def _count_targets(spec: JobSpec) -> int:
    from curation.job import plan_targets

    return len(plan_targets(spec))


def _with_bar(work: Any) -> Outcome:
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as bars:
        task = bars.add_task("simulating", total=None)
        outcome: Outcome = work(lambda done, total: bars.update(task, completed=done, total=total))
    return outcome


def _time_json(time: StageTime) -> dict[str, Any]:
    return {**vars(time.pace), "share": round(time.share, 4), "source": time.source}


def _print(spec: JobSpec, outcome: Outcome, ingest: Outcome, times: dict[str, StageTime]) -> None:
    from rich.table import Table

    console, machines = Console(), outcome.work.machines
    console.width = max(console.width, 104)
    console.print(
        f"[bold]{spec.name}[/]: {ingest.work.rows:,} targets, {outcome.work.rows:,} candidates on {machines.nodes} "
        f"nodes of {machines.cpus:g} CPUs and {machines.gpus:g} GPUs",
        highlight=False,
    )
    table = Table(
        "stage", "s a row", "known by", "reached", "workers", "rows a task", "busy", "", box=None, padding=(0, 2)
    )
    for stage in (*ingest.stages, *outcome.stages):
        time = times[stage.name]
        mark = "[yellow]bottleneck[/]" if stage.name == outcome.bottleneck else ""
        repeated = f"{stage.repeated} tasks repeated" if stage.repeated else ""
        table.add_row(
            stage.name,
            f"{time.pace.row:.4g}",
            time.source,
            f"{time.share:.0%}",
            f"{stage.workers}",
            f"{stage.task_rows}",
            f"{stage.busy:.1%}",
            " ".join(filter(None, (mark, repeated))),
        )
    console.print(table)
    hours = (ingest.seconds + outcome.seconds) / 3600
    console.print(
        f"{_span(hours)} in all: ingest {_span(ingest.seconds / 3600)}, "
        f"first shard {_span(outcome.first_shard / 3600)} after that, {outcome.rows_per_second:.2f} candidates/s"
        + (f", {outcome.losses} machines lost" if outcome.losses else "")
        + ("; the driver is the bottleneck" if outcome.bottleneck == "driver" else ""),
        highlight=False,
    )


def _print_cost(cost: float | None, outcome: Outcome) -> None:
    parts = []
    if outcome.work.machines.gpus:
        parts.append(f"{outcome.gpu_hours:.1f} GPU hours for the graph, {outcome.gpu_busy:.1%} of them at work")
    if cost is not None:
        parts.append(f"cost {cost:,.2f}")
    if parts:
        Console().print("; ".join(parts), highlight=False)


def _print_advice(advice: list[Advice], better: Outcome | None, ingest: Outcome, cost: float | None) -> None:
    console = Console(soft_wrap=True)
    for one in advice:
        console.print(f"- {one.text}", highlight=False, markup=False)
        for key, value in one.settings.items():
            console.print(f"    --set '{key}={value}'", highlight=False, markup=False)
    if better is not None:
        price = f", cost {cost:,.2f}" if cost is not None else ""
        hours = (ingest.seconds + better.seconds) / 3600
        console.print(f"with these settings {_span(hours)}{price}", highlight=False)


def _span(hours: float) -> str:
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{60 * hours:.1f} min" if hours >= 1 / 60 else f"{3600 * hours:.0f} s"
