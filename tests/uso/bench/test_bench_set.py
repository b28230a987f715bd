"""Sets: read and written alike, upstream's lists as they are, faults named, noise that follows from the item."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from tests.uso.bench.making import PROMPTS, images, small_set
from uso.bench.bench_set import BENCH_FILE, read_set, write_set
from uso.bench.dreambench import dreambench_set
from uso.bench.product import Prompts, build_product, read_prompts
from uso.tasks import Task


def test_a_product_holds_every_pair_and_every_prompt(tmp_path: Path) -> None:
    bench = small_set(tmp_path)
    assert Counter(sample.item.task for sample in bench.samples()) == {
        Task.SUBJECT: 4,
        Task.STYLE: 2,
        Task.LAYOUT_PRESERVED: 4,
        Task.LAYOUT_SHIFTED: 4,
    }
    assert {item.prompt for item in bench.items if item.task is Task.LAYOUT_SHIFTED} == {
        "the cat in red",
        "the dog in red",
    }


def test_a_set_reads_back_as_it_was_written(tmp_path: Path) -> None:
    bench = small_set(tmp_path)
    again = read_set(bench.folder)
    assert again.items == bench.items
    assert again.digest == bench.digest
    assert [sample.seed for sample in again.samples()] == [sample.seed for sample in bench.samples()]


def test_noise_is_every_samples_own_and_does_not_change_when_other_items_go(tmp_path: Path) -> None:
    bench = small_set(tmp_path)
    seeds = [sample.seed for sample in bench.samples()]
    assert len(set(seeds)) == len(seeds)
    fewer = replace(bench, items=bench.items[3:])
    assert [sample.seed for sample in fewer.samples()] == [
        sample.seed for sample in bench.samples() if sample.item in fewer.items
    ]


def test_the_paths_of_prompts_and_names_come_from_yaml(tmp_path: Path) -> None:
    (tmp_path / "prompts.yaml").write_text('subject: ["a {subject} at sea"]\njoint: []\nnames: {img_1: old man}\n')
    images(tmp_path / "c", "img_1 big-dog"), images(tmp_path / "s", "ink")
    bench = build_product(tmp_path / "c", tmp_path / "s", read_prompts(tmp_path / "prompts.yaml"), tmp_path / "set")
    assert {item.prompt for item in bench.items} == {"a old man at sea", "a big dog at sea"}
    (tmp_path / "wrong.yaml").write_text("styles: [x]\n")
    with pytest.raises(ValueError, match="styles: unknown key"):
        read_prompts(tmp_path / "wrong.yaml")
    with pytest.raises(ValueError, match="no meaning without a content image"):
        Prompts(style=("a {subject}",))


def test_upstreams_list_is_read_with_its_seeds(tmp_path: Path) -> None:
    images(tmp_path / "i", "cat ink")
    listed = [
        {"prompt": "", "image_paths": ["i/cat.png", "i/ink.png"]},
        {"prompt": "a fox", "image_paths": ["", "i/ink.png"]},
    ]
    (tmp_path / "eval.json").write_text(json.dumps(listed))
    bench = read_set(tmp_path / "eval.json")
    assert [item.task for item in bench.items] == [Task.LAYOUT_PRESERVED, Task.STYLE]
    assert {sample.seed for sample in bench.samples()} == {3407}
    assert bench.items[0].likenesses == ("i/cat.png",)


def test_unos_target_is_the_truth_only_where_it_is_no_reference(tmp_path: Path) -> None:
    images(tmp_path / "i", "cat answer")
    listed = [
        {"prompt": "a cat", "image_paths": ["i/cat.png"], "image_tgt_path": "i/cat.png"},
        {"prompt": "the cat", "image_paths": ["i/cat.png"], "image_tgt_path": "./i/answer.png"},
    ]
    (tmp_path / "uno.json").write_text(json.dumps(listed))
    assert [item.truth for item in read_set(tmp_path / "uno.json").items] == [None, "i/answer.png"]


def test_dreambench_is_read_from_its_folder(tmp_path: Path) -> None:
    images(tmp_path / "clock", "00 01 02"), images(tmp_path / "dog2", "00 01")
    (tmp_path / "prompts_and_classes.txt").write_text(
        "Classes\n\nsubject_name,class\nclock,clock\ndog2,dog\n\nPrompts\n\nObject Prompts\n\nprompt_list = [\n"
        "'a {0} {1} in the snow'.format(unique_token, class_token)\n]\n\nLive Subject Prompts\n\nprompt_list = [\n"
        "'a {0} {1} in a red hat, at sea'.format(unique_token, class_token),\n'a wet {0} {1}'.format(a, b)\n]\n"
    )
    bench = dreambench_set(tmp_path)
    assert [(item.prompt, item.content) for item in bench.items] == [
        ("a clock in the snow", "clock/00.png"),
        ("a dog in a red hat, at sea", "dog2/00.png"),
        ("a wet dog", "dog2/00.png"),
    ]
    assert bench.items[0].likenesses == ("clock/00.png", "clock/01.png", "clock/02.png")
    assert len(bench.samples()) == 18
    write_set(bench)
    assert read_set(tmp_path).digest == bench.digest


def test_what_is_wrong_with_a_set_is_named(tmp_path: Path) -> None:
    bench = small_set(tmp_path)
    told = json.loads((bench.folder / BENCH_FILE).read_text())

    def refused(match: str, **changes: object) -> None:
        broken = {**told, "items": [{**told["items"][0], **changes}]}
        (bench.folder / BENCH_FILE).write_text(json.dumps(broken))
        with pytest.raises(ValueError, match=match):
            read_set(bench.folder)

    refused(r'item 0: "prompt" must be a string', prompt=3)
    refused(r"item 0: no such image .*gone\.png", truth="gone.png")
    refused(r'item 0: "images" must be a whole number', images=0)
    refused(r"neither a content nor a style reference", image_paths=[""])
    (bench.folder / BENCH_FILE).write_text(json.dumps({**told, "items": [told["items"][0]] * 2}))
    with pytest.raises(ValueError, match="items 0 and 1 ask for the same picture"):
        read_set(bench.folder)
    with pytest.raises(ValueError, match="triptych bench build"):
        read_set(tmp_path / "nowhere.json")


def test_prompts_that_ask_for_nothing_are_refused(tmp_path: Path) -> None:
    contents, styles = images(tmp_path / "c", "cat"), images(tmp_path / "s", "ink")
    with pytest.raises(ValueError, match="nothing to draw"):
        build_product(contents, styles, Prompts(joint=()), tmp_path / "set")
    with pytest.raises(ValueError, match="has no images"):
        build_product(tmp_path, styles, PROMPTS, tmp_path / "set")
