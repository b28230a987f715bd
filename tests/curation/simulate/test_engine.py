"""The simulation obeys what no schedule can break, agrees with arithmetic where there is some, and is cheap."""

from __future__ import annotations

import tracemalloc

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.simulate.asleep import Pace
from curation.simulate.engine import simulate
from curation.simulate.model import DoesNotFitError, Machines, Overheads, StageModel, Work
from curation.simulate.timeline import Timeline
from curation.spec.stages import StageSpec

_QUICK = Overheads(dispatch=0.0, launch=0.0, begin=0.0)


def stage(name: str, row: float, *, workers: tuple[int, int] = (1, 1), gpus: float = 1.0, **more: float) -> StageModel:
    batch = int(more.pop("batch", 8))
    return StageModel(name, StageSpec(cpus=0.1, gpus=gpus, batch=batch, workers=workers), Pace(row, **more))


_STAGES = st.builds(
    lambda row, call, start, batch, low, more: stage(
        "x", row, call=call, start=start, batch=batch, workers=(low, low + more)
    ),
    st.floats(0.001, 2),
    st.floats(0, 1),
    st.floats(0, 60),
    st.integers(1, 64),
    st.integers(1, 4),
    st.integers(0, 3),
)


@st.composite
def works(draw: st.DrawFn, losses: bool = False) -> Work:
    stages = [
        StageModel(f"s{place}", one.resources, one.pace)
        for place, one in enumerate(draw(st.lists(_STAGES, min_size=1, max_size=4)))
    ]
    machines = Machines(
        nodes=draw(st.integers(1, 3)),
        gpus=64,
        cpus=64,
        object_store_gb=draw(st.floats(0.05, 4)),
        losses_per_hour=draw(st.floats(1, 20)) if losses else 0.0,
        replace_seconds=30,
    )
    return Work(
        tuple(stages),
        draw(st.integers(1, 3000)),
        draw(st.integers(1, 512)),
        machines=machines,
        overheads=Overheads(dispatch=draw(st.floats(0, 0.01)), launch=2, begin=1),
        spread=draw(st.sampled_from([0.0, 0.2])) if losses else 0.0,
        seed=draw(st.integers(0, 99)),
    )


@settings(deadline=None, max_examples=60)
@given(works())
def test_a_run_is_no_faster_than_its_slowest_stage_and_no_slower_than_one_task_after_the_other(work: Work) -> None:
    outcome = simulate(work)
    assert outcome.to_json() == simulate(work).to_json()
    all_tasks = 0.0
    for model, done in zip(work.stages, outcome.stages, strict=True):
        rows = work.task_rows(model.name)
        full, rest = divmod(work.rows, rows)
        whole = full * work.task_seconds(model, rows) + (work.task_seconds(model, rest) if rest else 0.0)
        all_tasks += whole
        assert done.busy_seconds == pytest.approx(whole)
        assert done.busy_seconds <= done.worker_seconds + 1e-6
        assert model.resources.workers[0] <= done.workers <= model.resources.workers[1]
        ready = work.overheads.begin + work.overheads.launch + model.pace.start
        assert outcome.seconds >= ready + whole / done.workers - 1e-6
    starts = work.overheads.begin + work.overheads.launch + max(model.pace.start for model in work.stages)
    handed = work.overheads.dispatch * sum(done.tasks for done in outcome.stages)
    assert outcome.seconds <= starts + all_tasks + handed + 1e-6


@settings(deadline=None, max_examples=30)
@given(works(losses=True))
def test_whatever_is_lost_every_shard_is_packed_and_work_is_repeated_no_more_than_it_was_in_flight(work: Work) -> None:
    outcome = simulate(work)
    assert outcome.to_json() == simulate(work).to_json()
    for done in outcome.stages:
        assert done.repeated <= outcome.losses * done.workers


@pytest.mark.parametrize(("workers", "row"), [(16, 0.5), (4, 0.05)])
def test_a_stage_alone_gives_workers_over_seconds_a_row(workers: int, row: float) -> None:
    work = Work(
        (stage("model", row, workers=(workers, workers)), stage("pack", 1e-6)),
        64_000,
        64,
        overheads=_QUICK,
        machines=Machines(gpus=32),
    )
    outcome = simulate(work)
    assert outcome.rows_per_second == pytest.approx(workers / row, rel=0.02)
    assert outcome.bottleneck == "model"
    assert outcome.stages[0].busy > 0.98


def test_cores_are_shared_by_the_stages_that_have_no_gpu() -> None:
    stages = (stage("load", 0.01, gpus=0, workers=(8, 8)), stage("pack", 1e-6, gpus=0))
    two, eight = (simulate(Work(stages, 20_000, 64, overheads=_QUICK, machines=Machines(cpus=cpus))) for cpus in (2, 8))
    assert two.seconds / eight.seconds == pytest.approx(4, rel=0.1)


def test_a_driver_that_cannot_keep_up_is_the_bottleneck() -> None:
    work = Work(
        (stage("model", 0.001, workers=(16, 16), batch=1), stage("pack", 1e-6, gpus=0)),
        20_000,
        100,
        overheads=Overheads(dispatch=0.01, launch=0, begin=0),
        machines=Machines(gpus=16),
    )
    outcome = simulate(work)
    assert outcome.bottleneck == "driver"
    assert outcome.seconds == pytest.approx(20_200 * 0.01, rel=0.02)


def test_a_full_object_store_holds_the_first_stage_back() -> None:
    def run(store: float) -> float:
        machines = Machines(gpus=8, object_store_gb=store)
        stages = (stage("load", 0.001, batch=8), stage("model", 0.1, batch=8), stage("pack", 1e-6))
        outcome = simulate(Work(stages, 2048, 64, 1e6, machines, _QUICK))
        idle = [place for place, value in enumerate(outcome.timeline.bins[0]) if value > 0]
        return idle[-1] * outcome.timeline.width

    assert run(store=16) < 5 < 150 < run(store=0.1)


def test_more_workers_than_there_is_room_for_are_refused_by_name() -> None:
    with pytest.raises(DoesNotFitError, match=r"stages\.model\.workers: of 9 workers only 8"):
        simulate(Work((stage("model", 1, workers=(9, 9)),), 10, 10, machines=Machines(nodes=2, gpus=4.5)))


def test_pools_grow_to_their_most_while_there_is_more_to_do() -> None:
    outcome = simulate(
        Work((stage("model", 0.5, workers=(1, 8)), stage("pack", 1e-6)), 4096, 64, machines=Machines(gpus=16))
    )
    assert outcome.stages[0].workers == 8


def test_a_million_candidates_take_little_memory() -> None:
    def peak(rows: int) -> int:
        load = stage("load", 0.001, batch=64)
        stages = (load, stage("model", 0.5, workers=(16, 16), batch=64), stage("pack", 0.001))
        tracemalloc.start()
        simulate(Work(stages, rows, 512, machines=Machines(gpus=32)))
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    few, many = peak(10_000), peak(1_000_000)
    assert many < few + 300_000
    assert many < 2_000_000


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0, 5000), st.floats(0, 3000)), max_size=40))
def test_the_timeline_loses_no_second(spans: list[tuple[float, float]]) -> None:
    timeline = Timeline(2)
    for start, length in spans:
        timeline.add(1, start, start + length)
    assert sum(timeline.bins[1]) == pytest.approx(sum(length for _, length in spans), abs=1e-6)
    assert min(timeline.bins[1]) >= 0
    assert timeline.bins[0] == [0.0] * len(timeline.bins[0])
