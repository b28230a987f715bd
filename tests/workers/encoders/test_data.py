"""Batches hold pairs for both heads, and a pool is rendered once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.workers.encoders.conftest import draw
from workers.encoders.data import BatchSampler, Work, make_pool


@settings(deadline=None)
@given(seed=st.integers(0, 1000), styles=st.integers(2, 6), per_style=st.integers(2, 6), subjects=st.integers(2, 30))
def test_batches_are_what_they_say(works: list[Work], seed: int, styles: int, per_style: int, subjects: int) -> None:
    sampler = BatchSampler(works, styles=styles, per_style=per_style, subjects=subjects)
    batch = sampler.draw(np.random.default_rng(seed))
    taken = [works[position] for position in batch.positions]
    assert len(taken) == styles * per_style
    for slot in range(styles):
        members = [work for work, own in zip(taken, batch.slots, strict=True) if own == slot]
        assert len({work.style for work in members}) == 1
        assert len({work.subject for work in members}) == per_style
    named = {(work.subject, int(label)) for work, label in zip(taken, batch.subjects, strict=True)}
    assert len(named) == len({name for name, _ in named}) == len({label for _, label in named})


def test_a_style_without_the_subject_shows_another_one(works: list[Work]) -> None:
    few = [work for work in works if work.family != "ink" or work.subject in {works[0].subject, works[-1].subject}]
    sampler = BatchSampler(few, styles=6, per_style=2, subjects=8)
    for seed in range(20):
        batch = sampler.draw(np.random.default_rng(seed))
        shown = [few[position].subject for position in batch.positions]
        pairs = set(zip(shown, batch.subjects.tolist(), strict=True))
        assert len(pairs) == len({name for name, _ in pairs}) == len({label for _, label in pairs})


class Counting:
    def __init__(self) -> None:
        self.painted = 0

    def __call__(self, work: Work) -> np.ndarray:
        self.painted += 1
        return draw(work)


def test_a_pool_is_rendered_once_and_again_for_another_version(works: list[Work], tmp_path: Path) -> None:
    painter, seen = Counting(), []
    first = make_pool(
        works, painter, side=24, folder=tmp_path, version="1", progress=lambda done, every: seen.append((done, every))
    )
    assert first.images.shape == (len(works), 24, 24, 3)
    assert seen[-1] == (len(works), len(works))
    second = make_pool(works, painter, side=24, folder=tmp_path, version="1")
    assert painter.painted == len(works)
    assert np.array_equal(first.images, second.images)
    make_pool(works, painter, side=24, folder=tmp_path, version="2")
    assert painter.painted == 2 * len(works)


def test_two_processes_render_what_one_does(works: list[Work], tmp_path: Path) -> None:
    alone = make_pool(works, draw, side=24, folder=tmp_path / "one", version="1")
    together = make_pool(works, draw, side=24, folder=tmp_path / "two", version="1", processes=2)
    assert np.array_equal(alone.images, together.images)
