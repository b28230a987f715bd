"""Advice makes a run faster, fits the machines, and says which keys to set."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.simulate.advise import advise, balanced, follow
from curation.simulate.asleep import Pace
from curation.simulate.engine import simulate
from curation.simulate.job import Attempts, simulate_attempts
from curation.simulate.model import Machines, StageModel, Work
from curation.spec.stages import StageSpec


def work(
    stylize: float, destylize: float, *, call: float = 0.0, batch: int = 8, rows: int = 51_200, gpus: int = 8
) -> Work:
    small = StageSpec(cpus=0.25, batch=8)
    model = StageSpec(cpus=0.25, gpus=1.0, batch=batch)
    stages = (
        StageModel("load", small, Pace(0.001)),
        StageModel("stylize", model, Pace(stylize, call)),
        StageModel("destylize", model, Pace(destylize, call)),
        StageModel("pack", small, Pace(0.001)),
    )
    return Work(stages, rows, 512, machines=Machines(gpus=gpus))


def test_workers_are_dealt_out_by_need() -> None:
    outcome = simulate(work(0.3, 0.9))
    advice = advise(outcome)
    (one,) = [
        one for one in advice if "stages.stylize.workers" in one.settings or "stages.destylize.workers" in one.settings
    ]
    assert one.settings == {"stages.stylize.workers": "[2,2]", "stages.destylize.workers": "[6,6]"}
    better = simulate(follow(outcome.work, advice))
    assert outcome.seconds / better.seconds == pytest.approx(6, rel=0.05)


def test_a_call_that_costs_much_asks_for_larger_batches() -> None:
    outcome = simulate(work(0.01, 0.01, call=0.5))
    advice = advise(outcome)
    assert {"stages.stylize.batch": "512"} in [one.settings for one in advice]
    assert simulate(follow(outcome.work, advice)).seconds < 0.5 * outcome.seconds


def test_too_many_machines_for_too_few_rows_are_named() -> None:
    texts = [one.text for one in advise(simulate(work(0.1, 0.1, rows=512)))]
    assert any("before the first shard" in text for text in texts)


@settings(deadline=None, max_examples=15)
@given(st.floats(0.01, 2), st.floats(0.01, 2), st.floats(0, 0.5), st.integers(1, 64), st.integers(2, 12))
def test_advice_fits_and_does_no_harm(stylize: float, destylize: float, call: float, batch: int, gpus: int) -> None:
    outcome = simulate(work(stylize, destylize, call=call, batch=batch, gpus=gpus))
    better = simulate(follow(outcome.work, advise(outcome)))
    assert better.seconds <= 1.05 * outcome.seconds
    workers = balanced(outcome.work)
    assert workers["stylize"] + workers["destylize"] <= gpus


def test_further_attempts_come_one_after_the_other() -> None:
    once = simulate(work(0.1, 0.1, rows=4096))
    thrice = simulate_attempts(work(0.1, 0.1, rows=4096), Attempts(3, 0.25))
    assert thrice.work.rows == 4096 + 1024 + 256
    assert thrice.seconds > once.seconds * 1.25
    assert thrice.stages[1].busy_seconds == pytest.approx(once.stages[1].busy_seconds * (1 + 0.25 + 0.0625))


def test_cost_is_that_of_all_gpus_for_all_the_time() -> None:
    outcome = simulate(work(0.5, 0.5, gpus=4))
    hours = outcome.seconds / 3600
    assert outcome.cost(gpu_hour=2, node_hour=1) == pytest.approx(hours * (4 * 2 + 1))
    assert outcome.gpu_busy == pytest.approx(2 * 51_200 * 0.5 / (4 * outcome.seconds))
