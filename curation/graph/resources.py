"""What Ray is told of a stage's workers: what each holds, how many there are, and what becomes of lost ones."""

from __future__ import annotations

from typing import Any

from curation.spec.stages import StageSpec

MB = 1024 * 1024


def held(stage: StageSpec) -> dict[str, Any]:
    """Return what one worker of a stage holds, as options of `ray.remote`."""
    options: dict[str, Any] = {"num_cpus": stage.cpus, "num_gpus": stage.gpus}
    if stage.memory_mb is not None:
        options["memory"] = stage.memory_mb * MB
    if stage.resources:
        options["resources"] = dict(stage.resources)
    return options


def pool(stage: StageSpec) -> dict[str, Any]:
    """Return what `map_batches` is told of a stage's workers.

    A worker that is lost, with its node or alone, is started anew for as long as the job runs, and the call that it was
    at is sent again: Ray Data's own way, which `stage.retries` bounds.
    """
    import ray

    low, high = stage.workers
    options = held(stage)
    if stage.retries is not None:
        options |= {"max_restarts": -1, "max_task_retries": stage.retries}
    compute = ray.data.ActorPoolStrategy(min_size=low, max_size=high, max_tasks_in_flight_per_actor=stage.in_flight)
    return {**options, "compute": compute}
