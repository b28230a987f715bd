"""`triptych train`: train USO, its experts, or a small base from curated shards."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from curation.cli.failure import fail
from curation.cli.model import model_library

if TYPE_CHECKING:
    from uso.training.chain import Order
    from uso.training.outcome import Outcome

_FAILED = 1


def train(
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="Recipe (YAML); `jobs/train/` has ready ones.")],
    data: Annotated[
        list[str] | None,
        typer.Option(metavar="STORE", help="Store to train on: a folder or s3://bucket/prefix, `@7` pins version 7."),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the run.")] = Path("runs/train/run"),
    steps: Annotated[
        int | None,
        typer.Option(
            min=1, metavar="N", help="Steps, in place of the recipe's; a trial makes what it builds on with as few."
        ),
    ] = None,
    resume: Annotated[
        str | None, typer.Option(metavar="latest|DIR", help="Go on from the newest checkpoint of the run, or another.")
    ] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="a.b=c", help="Override a key of the recipe; may be repeated.")
    ] = None,
    ray: Annotated[bool, typer.Option("--ray", help="Train on workers of Ray Train.")] = False,
    workers: Annotated[int, typer.Option(min=1, metavar="N", help="With --ray: processes.")] = 1,
    address: Annotated[str | None, typer.Option(help="With --ray: cluster to use; a local one without it.")] = None,
    gpus: Annotated[bool, typer.Option("--gpus", help="With --ray: a GPU for each process.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check recipe, stores and filters; train nothing.")
    ] = False,
) -> None:
    """Train from curated shards, on one process, on many, or on a Ray cluster.

    Ctrl-C and SIGTERM save a checkpoint and leave; `--resume latest` goes on from it, with the same samples and, on the
    same machine, the same weights to the bit as without the interruption.

    Examples:

    `triptych train jobs/nano/stage1.yaml --data runs/demo --out runs/train/stage1`

    `triptych train jobs/nano/stage1.yaml --data runs/demo --out runs/train/stage1 --resume latest`

    `torchrun --nproc-per-node 8 --no-python triptych train jobs/train/uso-stage2.yaml --data /shared/store --out run`

    `triptych train jobs/train/uso-stage1.yaml --data /shared/store --out /shared/run --ray --workers 8 --gpus`
    """
    with model_library():
        from uso.training.chain import Order

        order = Order(recipe, out, tuple(data or ()), tuple(overrides or ()), steps, resume)
        loaded = order.load()
        order.checkpoint()
        if dry_run:
            from uso.training.overview import overview

            typer.echo(overview(loaded))
            return
        outcome = _on_ray(order, workers, address, gpus) if ray else _here(order)
    _tell(outcome, out)


def _here(order: Order) -> Outcome:
    from uso.training.chain import run_order
    from uso.training.distributed import join, leave
    from uso.training.watch.bar import TrainingBar

    # Said once by torch of norms under autocast, and of no use to who trains.
    warnings.filterwarnings("ignore", message="Mismatch dtype between input and weight")
    world = join()
    try:
        with TrainingBar(Console(stderr=True), enabled=world.leads) as bar:
            return run_order(order, world, bar)
    finally:
        leave(world)


def _on_ray(order: Order, workers: int, address: str | None, gpus: bool) -> Outcome:
    from curation.training import RayWorkers, train_on_ray

    try:
        return train_on_ray(order, RayWorkers(workers, address, gpu=gpus))
    except RuntimeError as error:
        raise fail(str(error).strip().splitlines()[-1], code=_FAILED) from None


def _tell(outcome: Outcome, out: Path) -> None:
    if int(os.environ.get("RANK", "0")):
        return
    if outcome.ending == "interrupted":
        typer.echo(
            f"Stopped after step {outcome.step:,}, and saved. The same command with --resume latest goes on from there."
        )
        return
    if outcome.ending == "stopped":
        raise fail(f"Stopped after step {outcome.step:,}: {outcome.reason}", code=_FAILED)
    typer.echo(f"Trained {outcome.step:,} steps. Look at {out / 'report.html'}.")
    for path in outcome.exported:
        typer.echo(f"  {path}")
