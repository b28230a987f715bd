"""nano-bench: held-out subjects alone, the truth beside every sample, the same files from the same seed."""

from __future__ import annotations

from pathlib import Path

import pytest

from curation.bench.nano_set import NanoBenchSpec, build_nano
from curation.bench.suite import Suite, SuiteSpec
from curation.sources.iconify import IconifySource
from manifests.images import fold_of
from uso.bench.bench_set import BenchSet, read_set
from uso.tasks import Task

SPEC = NanoBenchSpec(contents=3, styles=3, named=2, size=64)


@pytest.fixture(scope="module")
def bench(atelier: IconifySource, tmp_path_factory: pytest.TempPathFactory) -> BenchSet:
    assert atelier
    return build_nano(SPEC, tmp_path_factory.mktemp("nano"))


def test_every_reference_shows_a_held_out_subject_and_prompts_name_training_ones(bench: BenchSet) -> None:
    for item in bench.items:
        assert item.truth is not None
        if item.task is Task.STYLE:
            assert fold_of(item.subject) < 8
        else:
            assert fold_of(item.subject) == 9
    shown = {item.subject for item in bench.items}
    assert len({item.style for item in bench.items if item.style}) == 3
    assert len(shown) == 5


def test_the_product_is_whole(bench: BenchSet) -> None:
    tasks = [item.task for item in bench.items]
    counts = {task: tasks.count(task) for task in set(tasks)}
    assert counts == {Task.SUBJECT: 3, Task.LAYOUT_PRESERVED: 9, Task.LAYOUT_SHIFTED: 9, Task.STYLE: 6}


def test_the_same_spec_gives_the_same_set_and_another_seed_another(bench: BenchSet, tmp_path: Path) -> None:
    assert read_set(bench.folder).digest == bench.digest
    assert build_nano(SPEC, tmp_path / "again").digest == bench.digest
    other = build_nano(SPEC.model_copy(update={"seed": 1}), tmp_path / "other")
    assert {item.subject for item in other.items} != {item.subject for item in bench.items}


def test_the_truth_keeps_the_layout_where_it_is_to_be_kept_and_moves_where_not(bench: BenchSet) -> None:
    items = [item for item in bench.items if item.content and item.styles]
    pictures = [bench.image(item.truth) for item in items if item.truth]
    scores = Suite(SuiteSpec()).score(bench, items, pictures)
    moved = {
        task: [row["layout_shift"] for row, item in zip(scores, items, strict=True) if item.task is task]
        for task in (Task.LAYOUT_PRESERVED, Task.LAYOUT_SHIFTED)
    }
    assert sum(moved[Task.LAYOUT_PRESERVED]) / 9 < 0.35 < 0.55 < min(moved[Task.LAYOUT_SHIFTED])
    assert sum(row["nano_style"] for row in scores) / 18 > 0.8


def test_tasks_can_be_left_out_and_prompts_chosen(atelier: IconifySource, tmp_path: Path) -> None:
    assert atelier
    spec = NanoBenchSpec(contents=2, styles=2, size=32, subject=None, style=None, shifted="{subject}, elsewhere")
    bench = build_nano(spec, tmp_path)
    assert {item.task for item in bench.items} == {Task.LAYOUT_PRESERVED, Task.LAYOUT_SHIFTED}
    assert any(item.prompt.endswith(", elsewhere") for item in bench.items)
    assert bench.credits
    assert all(credit["licence"] for credit in bench.credits)


def test_a_spec_that_cannot_be_met_is_refused(atelier: IconifySource, tmp_path: Path) -> None:
    assert atelier
    with pytest.raises(ValueError, match="held-out subjects are asked for"):
        build_nano(NanoBenchSpec(contents=170, styles=12), tmp_path)
    with pytest.raises(ValueError, match="only field is"):
        NanoBenchSpec(shifted="a {thing}")
    with pytest.raises(ValueError, match="leave the task out"):
        NanoBenchSpec(subject=" ")
