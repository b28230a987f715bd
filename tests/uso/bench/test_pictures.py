"""Pictures: named after what decides them, drawn in the same batches every time, and never written twice."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from tests.uso.bench.making import small_set
from uso.bench.bench_set import BenchSet
from uso.bench.pictures import Album, lay_out, plan_batches
from uso.bench.settings import DrawSettings
from uso.bench.system import System
from uso.saved_png import read_settings
from uso.tasks import Task

SETTINGS = DrawSettings(side=32, content_side=32, steps=2)


@pytest.fixture
def bench(tmp_path: Path) -> BenchSet:
    return small_set(tmp_path)


def test_every_sample_has_an_id_of_its_own_and_keeps_it(bench: BenchSet) -> None:
    sheets = lay_out(bench, SETTINGS)
    ids = [sheet.id for sheet in sheets]
    assert len(set(ids)) == len(bench.samples())
    assert [sheet.id for sheet in lay_out(bench, SETTINGS)] == ids


def test_an_id_changes_with_all_that_decides_the_picture(bench: BenchSet) -> None:
    ids = {sheet.id for sheet in lay_out(bench, SETTINGS)}
    for settings in (replace(SETTINGS, steps=3), replace(SETTINGS, side=48), replace(SETTINGS, batch=2)):
        assert ids.isdisjoint(sheet.id for sheet in lay_out(bench, settings))
    assert ids.isdisjoint(sheet.id for sheet in lay_out(replace(bench, seed=1), SETTINGS))
    Image.new("RGB", (48, 32), "red").save(bench.folder / "content" / "cat.png")
    changed = lay_out(replace(bench), SETTINGS)
    assert {sheet.sample.item.subject for sheet in changed if sheet.id not in ids} == {"cat"}


def test_a_kept_layout_has_the_contents_aspect(bench: BenchSet) -> None:
    sizes = {sheet.task: sheet.order.size for sheet in lay_out(bench, replace(SETTINGS, side=64))}
    assert sizes[Task.LAYOUT_PRESERVED] == (64, 32)
    assert sizes[Task.LAYOUT_SHIFTED] == (64, 64)


def test_a_higher_limit_only_adds(bench: BenchSet) -> None:
    few, more = ({sheet.id for sheet in lay_out(bench, SETTINGS, limit)} for limit in (6, 10))
    assert few < more
    assert {sheet.task for sheet in lay_out(bench, SETTINGS, 4)} == {sheet.task for sheet in lay_out(bench, SETTINGS)}


def test_batches_are_alike_and_do_not_depend_on_what_is_there(bench: BenchSet) -> None:
    batches = plan_batches(lay_out(bench, SETTINGS), 3)
    assert all(len({sheet.group for sheet in batch}) == 1 for batch in batches)
    album = Album(bench.folder, System("copy", baseline="copy-content"))
    half = batches[0][:1]
    album.save(half[0], Image.new("RGB", (32, 32)), SETTINGS)
    assert next(album.missing(batches)) == batches[0]


def test_a_picture_that_is_there_is_never_written_again(bench: BenchSet, tmp_path: Path) -> None:
    album = Album(tmp_path, System("copy", baseline="copy-style"))
    sheet = lay_out(bench, SETTINGS)[-1]
    assert album.save(sheet, Image.new("RGB", (32, 32), "red"), SETTINGS)
    assert not album.save(sheet, Image.new("RGB", (32, 32), "blue"), SETTINGS)
    with Image.open(album.path(sheet)) as picture:
        assert picture.getpixel((0, 0)) == (255, 0, 0)
    told = read_settings(album.path(sheet))
    assert told["system_digest"] == System("other name", baseline="copy-style").digest
    assert told["seed"] == sheet.sample.seed


def test_baselines_answer_what_they_have_an_image_for(bench: BenchSet, tmp_path: Path) -> None:
    sheets = lay_out(bench, SETTINGS)
    content, style, truth = (
        Album(tmp_path, System(name, baseline=name)) for name in ("copy-content", "copy-style", "truth")
    )
    assert {sheet.task for sheet in content.answers(sheets)} == set(Task) - {Task.TEXT, Task.STYLE}
    assert {sheet.task for sheet in style.answers(sheets)} == set(Task) - {Task.TEXT, Task.SUBJECT}
    assert truth.answers(sheets) == []
