"""Training on a Ray cluster: the same function that torchrun starts, on workers of Ray Train."""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from uso.training.chain import Order, run_order
from uso.training.outcome import Outcome, read_outcome
from uso.training.watch.bar import TrainingBar


@dataclass(frozen=True)
class RayWorkers:
    """How many processes, on which cluster; each takes a GPU where the cluster has them."""

    count: int
    address: str | None = None
    cpus: int = 1
    gpu: bool = False


def train_on_ray(order: Order, workers: RayWorkers) -> Outcome:
    """Train on Ray workers and return how it ended. Raises RuntimeError with the cause when a worker fails.

    Paths of the order must mean the same on every node; checkpoints are written by the first worker.
    """
    import ray
    from ray.train import RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    settled = Order(
        recipe=order.recipe.resolve(),
        out=order.out.resolve(),
        stores=order.stores,
        overrides=order.overrides,
        steps=order.steps,
        resume=order.resume,
    )
    ours = not ray.is_initialized()
    if ours:
        options: dict[str, Any] = {"address": workers.address or "local", "logging_level": logging.ERROR}
        if workers.address is None:
            # Ray Train's own watch over its workers asks the dashboard's state service.
            options |= {"num_cpus": workers.count * workers.cpus + 1, "include_dashboard": True}
        ray.init(**options)
    try:
        trainer = TorchTrainer(
            _work,
            train_loop_config={"order": settled, "folder": str(Path.cwd())},
            scaling_config=ScalingConfig(
                num_workers=workers.count, use_gpu=workers.gpu, resources_per_worker={"CPU": workers.cpus}
            ),
            run_config=RunConfig(name=order.out.name, storage_path=str((settled.out / "ray").resolve())),
        )
        trainer.fit()
    except ray.train.TrainingFailedError as error:
        raise RuntimeError(f"training on Ray failed: {_cause(error)}") from error
    finally:
        if ours:
            ray.shutdown()
    outcome = read_outcome(order.out)
    if outcome is None:
        raise RuntimeError(f"{order.out}: the workers left no outcome; is the folder the same on every node?")
    return outcome


def _cause(error: Exception) -> str:
    """Return the line of a worker's traceback that names what went wrong."""
    lines = [line.strip() for line in str(error).splitlines()]
    named = [line for line in lines if re.match(r"\w+(\.\w+)*(Error|Exception|Interrupt)\b", line)]
    return named[-1] if named else str(error)


def _work(config: dict[str, Any]) -> None:
    """Run on every worker, in the process group that Ray Train has made."""
    import os

    import ray.train

    from uso.training.distributed import join

    os.chdir(config["folder"])
    context = ray.train.get_context()
    os.environ.setdefault("RANK", str(context.get_world_rank()))
    os.environ.setdefault("WORLD_SIZE", str(context.get_world_size()))
    os.environ.setdefault("LOCAL_RANK", str(context.get_local_rank()))
    world = join()
    with TrainingBar(Console(stderr=True), enabled=world.leads) as bar:
        run_order(config["order"], world, bar)
