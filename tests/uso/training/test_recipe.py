"""Recipes: ready ones are valid and have the paper's numbers, faults are named with their mend before any work."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from manifests.store import Store
from manifests.yaml_file import YamlError
from tests.uso.training.conftest import tiny_file
from uso.lora import add_lora, set_trainable
from uso.nano.family import SIDE, family_folder
from uso.network import empty_network
from uso.presets import PRESETS
from uso.training.chain import Order, run_order
from uso.training.distributed import World
from uso.training.load_recipe import load_recipe
from uso.training.optimizer import learning_rate
from uso.training.recipe import OptimizerSpec
from uso.training.run import newest_checkpoint

READY = sorted(Path("jobs/train").glob("*.yaml"))
NANO = [
    Path(f"jobs/nano/{name}.yaml")
    for name in (
        "autoencoder",
        "base",
        "reference",
        "stylize",
        "destylize",
        "stage1",
        "stage2",
        "demo-stage1",
        "demo-stage2",
    )
]


@pytest.mark.parametrize("path", READY, ids=lambda path: path.stem)
def test_a_ready_recipe_is_valid(path: Path) -> None:
    recipe = load_recipe(path, (), ["somewhere"])
    assert recipe.name == path.stem
    assert all(need.recipe in READY for need in recipe.needs)


@pytest.mark.parametrize("path", NANO, ids=lambda path: path.stem)
def test_a_recipe_of_the_nano_family_is_valid_and_builds_on_the_family(path: Path) -> None:
    recipe = load_recipe(path, (), ["somewhere"])
    assert recipe.name == f"nano-{path.stem}"
    assert recipe.data.side == SIDE
    assert all(need.recipe in NANO and need.out.parent == Path(recipe.runs) for need in recipe.needs)
    if path.stem not in ("autoencoder", "base", "reference"):
        assert recipe.model.pipeline == str(family_folder() / "pipeline")


def test_the_stages_have_the_papers_numbers() -> None:
    one, two, joint = (
        load_recipe(Path(f"jobs/train/uso-{name}.yaml"), (), ["s"]) for name in ("stage1", "stage2", "joint")
    )
    assert (one.steps, one.batch.size, one.data.side, one.train) == (23_000, 16, 768, ("projector",))
    assert (two.steps, two.batch.size, two.data.side, two.train) == (21_000, 64, 1024, ("lora",))
    assert one.optimizer.learning_rate == two.optimizer.learning_rate == 8e-5
    assert one.reward is not None
    assert two.reward is not None
    assert (one.reward.start, two.reward.start) == (16_000, 18_000)
    assert joint.train == ("projector", "lora")
    assert joint.data.reference_dropout == 0.25
    for recipe in (one, two, joint):
        assert recipe.data.prompt_dropout == 0.1
        assert recipe.flow.guidance == 1
        assert recipe.model.lora_rank == 128
        assert recipe.model.style.shape() == PRESETS["flux-dev"].style


def test_at_full_size_a_stage_trains_what_the_release_holds() -> None:
    network = empty_network(PRESETS["flux-dev"])
    with torch.device("meta"):
        add_lora(network, 128)
    set_trainable(network, lora=True)
    trained = [parameter for parameter in network.parameters() if parameter.requires_grad]
    assert len(trained) == 304
    set_trainable(network, projector=True)
    assert sum(1 for parameter in network.parameters() if parameter.requires_grad) == 18


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("steps=0", "steps"),
        ("train=[lorra]", "train"),
        ("train=[autoencoder, lora]", "trained alone"),
        ("model.pipeline=null", "fresh"),
        ("model.vision=null", "model.vision"),
        ("data.slots.style=null", "data.slots.style"),
        ("data.slots.content=target", "slots"),
        ("data.slots={content: null, style: null, second: style}", "slots"),
        ("data.reference_dropout=1.5", "data.reference_dropout"),
        ("data.side=100", "data.side"),
        ("data.prompt={subject!r}", "data.prompt"),
        ("batch.size=none", "batch.size"),
        ("optimizer.learning_rat=1", "unknown key; see docs/training.md"),
        ("reward={start: 0, scorer: {kind: csd}}", "weights"),
        ("steps", "--set steps"),
    ],
)
def test_a_fault_is_named_by_its_key(tmp_path: Path, pipeline: Path, override: str, told: str) -> None:
    path = tiny_file(tmp_path, pipeline)
    extra = ("train=[projector]",) if "slots.style" in override else ()
    with pytest.raises(YamlError) as caught:
        load_recipe(path, (*extra, override), ["store"])
    assert told in str(caught.value)


def test_a_bad_filter_is_told_before_what_the_recipe_builds_on_is_trained(
    tmp_path: Path, pipeline: Path, store: Store
) -> None:
    inner = tiny_file(tmp_path, pipeline)
    outer = tmp_path / "outer.yaml"
    outer.write_text(inner.read_text() + f"needs: [{{recipe: tiny.yaml, out: {tmp_path / 'inner'}}}]\n")
    order = Order(outer, tmp_path / "out", (str(store.root),), ("data.where=layot = 1",))
    with pytest.raises(ValueError, match="layot"):
        run_order(order, World())
    assert not (tmp_path / "inner").exists()


def test_what_a_recipe_builds_on_is_trained_once(tmp_path: Path, pipeline: Path, store: Store) -> None:
    inner = tiny_file(tmp_path, pipeline)
    outer = tmp_path / "outer.yaml"
    outer.write_text(inner.read_text() + f"needs: [{{recipe: tiny.yaml, out: {tmp_path / 'inner'}}}]\n")
    for name in ("first", "second"):
        assert run_order(Order(outer, tmp_path / name, (str(store.root),)), World()).ending == "finished"
    assert len(json.loads((tmp_path / "inner/run.json").read_text())["starts"]) == 1


def chained(folder: Path, pipeline: Path) -> Path:
    inner = tiny_file(folder, pipeline)
    outer = folder / "outer.yaml"
    outer.write_text(
        inner.read_text() + f"runs: {folder / 'runs'}\nneeds: [{{recipe: tiny.yaml, out: '{{runs}}/inner'}}]\n"
    )
    return outer


def test_a_trial_makes_what_it_builds_on_as_short_and_is_not_built_on_in_earnest(
    tmp_path: Path, pipeline: Path, store: Store
) -> None:
    trial = Order(chained(tmp_path, pipeline), tmp_path / "trial", (str(store.root),), steps=2)
    assert run_order(trial, World()).step == 2
    assert newest_checkpoint(tmp_path / "runs/inner") == tmp_path / "runs/inner/checkpoints/step-00000002"
    earnest = replace(trial, out=tmp_path / "earnest", steps=None)
    with pytest.raises(ValueError, match="2 of the 4 steps"):
        run_order(earnest, World())
    elsewhere = replace(earnest, overrides=(f"runs={tmp_path / 'elsewhere'}",))
    assert run_order(elsewhere, World()).step == 4
    assert newest_checkpoint(tmp_path / "elsewhere/inner") == tmp_path / "elsewhere/inner/checkpoints/step-00000004"


def test_without_a_store_there_is_nothing_to_train_on(tmp_path: Path, pipeline: Path) -> None:
    with pytest.raises(YamlError, match="--data"):
        load_recipe(tiny_file(tmp_path, pipeline))


def test_a_store_can_be_pinned_on_the_command_line(tmp_path: Path, pipeline: Path) -> None:
    recipe = load_recipe(tiny_file(tmp_path, pipeline), (), ["runs/demo@7", "s3://bucket/store"])
    assert [(store.path, store.version) for store in recipe.data.stores] == [
        ("runs/demo", 7),
        ("s3://bucket/store", None),
    ]


def test_the_learning_rate_rises_stays_or_falls_as_asked() -> None:
    rising = OptimizerSpec(learning_rate=1.0, warmup=4, schedule="cosine", final=0.1)
    assert [learning_rate(rising, step, 104) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]
    assert learning_rate(rising, 54, 104) == pytest.approx(0.55)
    assert learning_rate(rising, 104, 104) == pytest.approx(0.1)
    assert learning_rate(OptimizerSpec(learning_rate=1.0, schedule="linear"), 25, 100) == pytest.approx(0.75)
    assert learning_rate(OptimizerSpec(learning_rate=1.0), 99, 100) == 1.0
