"""A whole run on a small real pipeline: both stages, exact resume, refusals before any work, exports that load."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from manifests.store import Store
from tests.uso.training.conftest import tiny_file
from tests.uso.training.stores import make_store
from uso.latents import LatentCodec
from uso.text import T5Encoder
from uso.training.distributed import World
from uso.training.recipe import GridSpec, Recipe
from uso.training.run import RunBusyError, newest_checkpoint, train
from uso.training.state import CheckpointDamagedError, RunMismatchError, checkpoints, load_state
from uso.vision import VisionTower

Maker = Callable[..., Recipe]
Start = Callable[..., int]


def weights(folder: Path) -> dict[str, Tensor]:
    return {
        f"{path.relative_to(folder)}/{name}": tensor
        for path in sorted(folder.rglob("*.safetensors"))
        for name, tensor in load_file(path).items()
    }


def same(first: Path, second: Path) -> bool:
    ours, theirs = weights(first), weights(second)
    return set(ours) == set(theirs) and all(torch.equal(ours[name], theirs[name]) for name in ours)


def losses(out: Path) -> dict[int, float]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return {line["step"]: line["train/loss"] for line in lines if "train/loss" in line}


@pytest.mark.parametrize(
    ("train_parts", "changes"),
    [
        ("[projector]", ["data.slots.content=null"]),
        ("[lora]", []),
        ("[projector, lora]", ["data.reference_dropout=0.25"]),
        ("[lora]", ["data.slots={target: content, content: target, style: null}"]),
        ("[lora]", ["data.slots={target: target, content: content, second: style, style: null}"]),
        ("[base]", ["data.slots={target: target, content: null, style: null}"]),
    ],
    ids=["stage 1", "stage 2", "joint", "de-stylization expert", "one autoencoder for both references", "base"],
)
def test_only_what_a_stage_trains_changes(
    tiny_recipe: Maker, tmp_path: Path, train_parts: str, changes: list[str]
) -> None:
    from uso.training.build import build_objective

    recipe = tiny_recipe(f"train={train_parts}", *changes)
    before = {name: p.clone() for name, p in build_objective(recipe, World()).network.named_parameters()}  # type: ignore[attr-defined]
    outcome = train(recipe, tmp_path / "run", World())
    assert outcome.ending == "finished"
    assert outcome.exported
    newest = newest_checkpoint(tmp_path / "run")
    assert newest is not None
    objective = build_objective(recipe, World())
    objective.read(newest / "weights")
    after = dict(objective.network.named_parameters())  # type: ignore[attr-defined]
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    kinds = {
        "projector" if name.startswith("feature_embedder") else "lora" if "lora_" in name else "base"
        for name in changed
    }
    assert kinds == set(recipe.train)


def test_an_interrupted_run_ends_with_the_same_bits(tiny_recipe: Maker, tmp_path: Path) -> None:
    changes = ("train=[projector, lora]", "data.reference_dropout=0.25", "ema=0.9", "steps=7")
    train(tiny_recipe(*changes), tmp_path / "whole", World())
    train(tiny_recipe(*changes, "steps=3"), tmp_path / "parts", World())
    resumed = newest_checkpoint(tmp_path / "parts")
    train(tiny_recipe(*changes), tmp_path / "parts", World(), resume=resumed)
    assert same(tmp_path / "whole/checkpoints/step-00000007", tmp_path / "parts/checkpoints/step-00000007")
    assert losses(tmp_path / "whole") == losses(tmp_path / "parts")


def test_a_second_reference_stands_behind_the_content_and_is_encoded_as_it_is(tiny_recipe: Maker) -> None:
    from uso.training.build import build_objective
    from uso.training.heldout import heldout_samples
    from uso.training.recipe_data import catalog_of, loader_settings_of

    recipe = tiny_recipe("data.slots={target: target, content: content, second: style, style: null}")
    swapped = tiny_recipe("data.slots={target: target, content: style, second: content, style: null}")
    given = []
    for each in (recipe, swapped):
        objective = build_objective(each, World())
        samples = heldout_samples(catalog_of(each, "heldout"), 2, loader_settings_of(each), World(), objective.lookup)
        given.append([example.conditions for example in objective.prepare_heldout(samples, 0.5)])
    for one, other in zip(*given, strict=True):
        assert one is not None
        assert other is not None
        assert not one.styles
        assert torch.equal(one.contents[0], other.contents[1])
        assert torch.equal(one.contents[1], other.contents[0])


def test_a_cache_of_encodings_changes_no_bit(
    tiny_recipe: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(tiny_recipe(), tmp_path / "without", World())
    cache = f"data.cache={{path: {tmp_path / 'cache'}}}"
    for name in ("cold", "warm"):
        train(tiny_recipe(cache), tmp_path / name, World())
        assert same(tmp_path / "without" / "checkpoints", tmp_path / name / "checkpoints")
    monkeypatch.setattr(LatentCodec, "moments", _unreachable)
    monkeypatch.setattr(VisionTower, "encode", _unreachable)
    monkeypatch.setattr(T5Encoder, "encode", _unreachable)
    train(tiny_recipe(cache), tmp_path / "from the cache alone", World())


def _unreachable(*_given: object, **_named: object) -> None:
    raise AssertionError("what the cache holds was encoded again")


def test_micro_batches_change_nothing_but_rounding(tiny_recipe: Maker, tmp_path: Path) -> None:
    for micro in (1, 6):
        train(tiny_recipe(f"batch.micro={micro}"), tmp_path / str(micro), World())
    one, six = (weights(tmp_path / name / "checkpoints/step-00000004/weights") for name in ("1", "6"))
    assert losses(tmp_path / "1") == pytest.approx(losses(tmp_path / "6"), rel=1e-5)
    for name, tensor in one.items():
        torch.testing.assert_close(tensor, six[name], atol=2e-5, rtol=1e-3)


def test_a_later_commit_does_not_change_a_resumed_run(pipeline: Path, tmp_path: Path) -> None:
    from uso.training.load_recipe import load_recipe

    make_store(tmp_path / "store", 30)
    path = tiny_file(tmp_path, pipeline)

    def recipe(steps: int) -> Recipe:
        return load_recipe(path, (f"steps={steps}",), [str(tmp_path / "store")])

    train(recipe(6), tmp_path / "whole", World())
    train(recipe(2), tmp_path / "parts", World())
    make_store(tmp_path / "store", 20, first=700)
    train(recipe(6), tmp_path / "parts", World(), resume=newest_checkpoint(tmp_path / "parts"))
    assert same(tmp_path / "whole/checkpoints/step-00000006", tmp_path / "parts/checkpoints/step-00000006")


def test_another_recipe_cannot_take_over_a_run(tiny_recipe: Maker, tmp_path: Path) -> None:
    train(tiny_recipe("steps=2"), tmp_path / "run", World())
    checkpoint = newest_checkpoint(tmp_path / "run")
    for change, field in (
        ("seed=6", "seed"),
        ("batch.size=5", "batch"),
        ("data.window=7", "data"),
        ("model.lora_rank=8", "model"),
        ("train=[projector]", "train"),
    ):
        with pytest.raises(RunMismatchError, match=field):
            train(tiny_recipe(change), tmp_path / "run", World(), resume=checkpoint)


def test_a_damaged_checkpoint_is_refused_by_the_name_of_its_file(tiny_recipe: Maker, tmp_path: Path) -> None:
    train(tiny_recipe("steps=2"), tmp_path / "run", World())
    (_, folder), *_ = checkpoints(tmp_path / "run")
    path = folder / "optimizer.safetensors"
    data = bytearray(path.read_bytes())
    data[-3] ^= 4
    path.write_bytes(data)
    with pytest.raises(CheckpointDamagedError, match=r"optimizer\.safetensors"):
        load_state(folder)


def test_a_folder_is_trained_in_by_one_run_at_a_time(tiny_recipe: Maker, tmp_path: Path) -> None:
    from filelock import FileLock

    (tmp_path / "run").mkdir()
    with FileLock(tmp_path / "run/.lock"), pytest.raises(RunBusyError, match="another process"):
        train(tiny_recipe(), tmp_path / "run", World())
    assert train(tiny_recipe("steps=1"), tmp_path / "run", World()).ending == "finished"


def test_only_the_newest_checkpoints_are_kept(tiny_recipe: Maker, tmp_path: Path) -> None:
    train(tiny_recipe("steps=5", "checkpoints={every: 1, keep: 2}"), tmp_path / "run", World())
    assert [step for step, _ in checkpoints(tmp_path / "run")] == [4, 5]


def test_a_checkpoint_that_could_not_be_written_leaves_the_older_ones_whole(
    tiny_recipe: Maker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import uso.training.state as state

    out, written = tmp_path / "run", state.write_weights

    def full_disk(path: Path, tensors: Mapping[str, Tensor]) -> None:
        if "step-00000004" in str(path):
            raise OSError(28, "No space left on device")
        written(path, tensors)

    monkeypatch.setattr(state, "write_weights", full_disk)
    with pytest.raises(OSError, match="No space left"):
        train(tiny_recipe(), out, World())
    assert [step for step, _ in checkpoints(out)] == [2]
    monkeypatch.undo()
    train(tiny_recipe(), out, World(), resume=newest_checkpoint(out))
    assert sorted(path.name for path in (out / "checkpoints").iterdir()) == ["step-00000002", "step-00000004"]


def test_exported_files_load_as_a_release_and_draw_the_same(tiny_recipe: Maker, pipeline: Path, tmp_path: Path) -> None:
    from uso.checkpoint import load_network
    from uso.training.build import build_objective
    from uso.training.heldout import heldout_samples
    from uso.training.loader import LoaderSettings
    from uso.training.sources import Shapes, StoreSource, resolve

    recipe = tiny_recipe("train=[projector, lora]")
    outcome = train(recipe, tmp_path / "run", World())
    assert {path.name for path in outcome.exported} == {"dit_lora.safetensors", "projector.safetensors"}
    newest = newest_checkpoint(tmp_path / "run")
    assert newest is not None
    trained = build_objective(recipe, World())
    trained.read(newest / "weights")
    released = build_objective(recipe, World())
    released.network = load_network(  # type: ignore[attr-defined]
        pipeline / "transformer",
        lora=tmp_path / "run/dit_lora.safetensors",
        projector=tmp_path / "run/projector.safetensors",
        style=recipe.model.style.shape(),
    )
    catalog = resolve([StoreSource(recipe.data.stores[0].path)], Shapes(64, 64), split="heldout")
    samples = heldout_samples(catalog, 2, LoaderSettings(), World())
    plain, led = (GridSpec(steps=3, guidance=1.0, cfg_scale=scale) for scale in (1.0, 3.0))
    assert trained.draw(samples, plain).tobytes() == released.draw(samples, plain).tobytes()
    assert trained.draw(samples, plain).tobytes() != trained.draw(samples, led).tobytes()


@pytest.fixture
def start(store: Store, pipeline: Path, tmp_path: Path) -> Start:
    """Return what trains in a process of its own, and kills it after so many lines of metrics and seconds."""
    recipe = tiny_file(tmp_path, pipeline)
    command = [sys.executable, "-m", "curation.cli", "train", str(recipe), "--data", str(store.root), "--steps", "12"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

    def run(out: Path, *more: str, kill: tuple[int, int, float] | None = None) -> int:
        process = subprocess.Popen(
            [*command, "--out", str(out), *more], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        if kill is not None:
            number, lines, seconds = kill
            metrics = out / "metrics.jsonl"
            while process.poll() is None and (not metrics.exists() or metrics.read_text().count("\n") < lines):
                time.sleep(0.02)
            time.sleep(seconds)
            process.send_signal(number)
        return process.wait(timeout=120)

    return run


def test_sigterm_saves_and_leaves_and_kills_repeat_nothing(start: Start, tmp_path: Path) -> None:
    assert start(tmp_path / "whole") == 0
    assert start(tmp_path / "parts", kill=(signal.SIGKILL, 3, 0)) == -signal.SIGKILL
    assert start(tmp_path / "parts", "--resume", "latest", kill=(signal.SIGTERM, 7, 0)) == 0
    saved = newest_checkpoint(tmp_path / "parts")
    assert saved is not None
    assert 4 <= load_state(saved).step < 12
    assert start(tmp_path / "parts") == 2, "a run that is there is not overwritten"
    assert start(tmp_path / "parts", "--resume", "latest") == 0
    assert same(tmp_path / "whole/checkpoints/step-00000012", tmp_path / "parts/checkpoints/step-00000012")
    steps = [json.loads(line)["step"] for line in (tmp_path / "parts/metrics.jsonl").read_text().splitlines()]
    assert steps == sorted(set(steps))


@pytest.mark.slow
def test_six_kills_at_random_moments_change_no_bit(start: Start, tmp_path: Path) -> None:
    assert start(tmp_path / "whole") == 0
    for _ in range(6):
        moment = random.randint(0, 10), random.uniform(0, 0.4)
        print("killed after", moment)
        start(tmp_path / "parts", "--resume", "latest", kill=(signal.SIGKILL, *moment))
    assert start(tmp_path / "parts", "--resume", "latest") == 0
    assert same(tmp_path / "whole/checkpoints/step-00000012", tmp_path / "parts/checkpoints/step-00000012")
    assert losses(tmp_path / "whole") == losses(tmp_path / "parts")


def test_a_skipped_sample_is_noted_once_however_often_its_step_is_taken(
    store: Store, pipeline: Path, tmp_path: Path
) -> None:
    from uso.training.load_recipe import load_recipe

    shutil.copytree(store.root, tmp_path / "store")
    (shard, *_) = sorted((tmp_path / "store/shards").glob("*.tar"))
    shard.unlink()
    path = tiny_file(tmp_path, pipeline)

    def recipe(steps: int) -> Recipe:
        return load_recipe(path, (f"steps={steps}", "data.on_error=skip"), [str(tmp_path / "store")])

    train(recipe(6), tmp_path / "whole", World())
    train(recipe(6), tmp_path / "parts", World())
    third = tmp_path / "parts/checkpoints/step-00000002"
    train(recipe(6), tmp_path / "parts", World(), resume=third)
    noted = (tmp_path / "whole/skipped.jsonl").read_text()
    assert noted
    assert (tmp_path / "parts/skipped.jsonl").read_text() == noted
    assert same(tmp_path / "whole/checkpoints/step-00000006", tmp_path / "parts/checkpoints/step-00000006")


def test_recomputed_blocks_train_the_same_weights(tiny_recipe: Maker, tmp_path: Path) -> None:
    for name, spec in (("kept", "{}"), ("recomputed", "{checkpointing: true}")):
        train(tiny_recipe(f"parallel={spec}"), tmp_path / name, World())
    assert losses(tmp_path / "kept") == pytest.approx(losses(tmp_path / "recomputed"), rel=1e-6)


def test_mixed_precision_follows_full_precision(tiny_recipe: Maker, tmp_path: Path) -> None:
    for name, spec in (("full", "{}"), ("mixed", "{autocast: bfloat16}")):
        train(tiny_recipe(f"parallel={spec}"), tmp_path / name, World())
    full, mixed = losses(tmp_path / "full"), losses(tmp_path / "mixed")
    assert full != mixed
    assert full == pytest.approx(mixed, rel=0.03)
    newest = newest_checkpoint(tmp_path / "mixed")
    assert newest is not None
    assert {tensor.dtype for tensor in weights(newest).values() if tensor.is_floating_point()} == {torch.float32}


@pytest.mark.slow
def test_compiled_blocks_train_the_same_weights(tiny_recipe: Maker, tmp_path: Path) -> None:
    for name, spec in (("eager", "{}"), ("compiled", "{compile: true}")):
        train(tiny_recipe(f"parallel={spec}", "data.reference_dropout=0.25"), tmp_path / name, World())
    assert losses(tmp_path / "eager") == pytest.approx(losses(tmp_path / "compiled"), rel=1e-4)
