"""The simulation against the same graph on a real Ray, where models sleep and GPUs are simulated."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator

import pytest

from curation.simulate.asleep import Pace, run_asleep
from curation.simulate.engine import simulate
from curation.simulate.model import Machines, StageModel, Work
from curation.spec.stages import StageSpec

TOLERANCE = 0.3
"""Relative, of the time between the first shard and the last: tests run on machines that are busy with other things."""

ROWS, SHARD = 320, 32
_SMALL = StageSpec(cpus=0.1, batch=16)
_MODEL = StageSpec(cpus=0.1, gpus=1.0, batch=8, workers=(3, 3))
_HALF = StageSpec(cpus=0.1, gpus=0.5, batch=16, workers=(2, 2))
_LITTLE = Pace(0.0002)

BEFORE = (
    {"load": _SMALL, "model": _MODEL, "pack": _SMALL},
    {"load": _LITTLE, "model": Pace(0.09), "pack": _LITTLE},
)
AFTER = (
    {"load": _SMALL, "model": _MODEL, "score": _HALF, "pack": _SMALL},
    {"load": _LITTLE, "model": Pace(0.02), "score": Pace(0.04, call=0.32), "pack": _LITTLE},
)


@pytest.fixture(scope="module")
def ray_gpus() -> Iterator[None]:
    import ray

    ray.init(
        address="local",
        num_cpus=2,
        num_gpus=4,
        object_store_memory=150 * 1024 * 1024,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )
    settings = ray.data.DataContext.get_current()
    settings.enable_progress_bars = False
    before, settings.wait_for_min_actors_s = settings.wait_for_min_actors_s, 300  # slow starts are not the subject
    yield
    settings.wait_for_min_actors_s = before
    ray.shutdown()


@pytest.mark.parametrize(
    ("stages", "paces", "bottleneck"),
    [pytest.param(*BEFORE, "model"), pytest.param(*AFTER, "score", marks=pytest.mark.slow)],
)
@pytest.mark.usefixtures("ray_gpus")
def test_time_bottleneck_and_shards_are_those_of_a_real_run(
    stages: dict[str, StageSpec], paces: dict[str, Pace], bottleneck: str
) -> None:
    models = tuple(StageModel(name, stage, paces[name]) for name, stage in stages.items())
    outcome = simulate(Work(models, ROWS, SHARD, 2000.0, Machines(gpus=4, cpus=64)))
    slept = list(run_asleep(stages, paces, rows=ROWS, shard=SHARD))
    assert outcome.bottleneck == bottleneck
    assert outcome.seconds - outcome.first_shard == pytest.approx(slept[-1].seconds - slept[0].seconds, rel=TOLERANCE)
    ids = [f"{number:064x}" for number in range(ROWS)]
    for number, shard in enumerate(slept):
        expected = hashlib.sha256("".join(ids[number * SHARD : (number + 1) * SHARD]).encode()).hexdigest()
        assert (shard.numbers, shard.rows, shard.digest) == ([number], SHARD, expected)
