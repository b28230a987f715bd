"""Several real processes over gloo: they train what one process trains, and take over from each other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from manifests.store import Store
from tests.uso.training.conftest import tiny_file

WORKER = Path(__file__).parent / "distributed_worker.py"


def run(recipe: Path, store: Store, out: Path, world: int, *overrides: str) -> None:
    command = [sys.executable, str(WORKER), str(recipe), str(store.root), str(out), *overrides]
    if world > 1:
        torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", str(world), "--standalone"]
        command = [*torchrun, *command[1:]]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONPATH": "."}
    done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr[-8000:]


def values(out: Path, name: str) -> list[float]:
    lines = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    return [line[name] for line in lines if name in line]


def losses(out: Path) -> list[float]:
    return values(out, "train/loss")


def close(first: Path, second: Path, names: tuple[str, ...] = ("dit_lora", "projector")) -> None:
    for name in names:
        ours, theirs = (load_file(out / f"{name}.safetensors") for out in (first, second))
        for key, tensor in ours.items():
            torch.testing.assert_close(tensor, theirs[key], atol=2e-5, rtol=2e-3)


@pytest.fixture
def recipe(tmp_path: Path, pipeline: Path) -> Path:
    return tiny_file(tmp_path, pipeline)


JOINT = ("train=[projector, lora]", "data.reference_dropout=0.25", "optimizer.learning_rate=1e-4")


def test_two_processes_train_what_one_trains(recipe: Path, store: Store, tmp_path: Path) -> None:
    for world in (1, 2):
        run(recipe, store, tmp_path / str(world), world, *JOINT)
    assert losses(tmp_path / "1") == pytest.approx(losses(tmp_path / "2"), rel=1e-5)
    close(tmp_path / "1", tmp_path / "2")


def test_sharded_weights_train_what_replicated_ones_train(recipe: Path, store: Store, tmp_path: Path) -> None:
    run(recipe, store, tmp_path / "replicated", 1, *JOINT, "steps=6", "ema=0.9")
    sharded = (*JOINT, "parallel.mode=fsdp", "ema=0.9")
    run(recipe, store, tmp_path / "sharded", 2, *sharded, "steps=3")
    run(recipe, store, tmp_path / "sharded", 2, *sharded, "steps=6")
    assert losses(tmp_path / "replicated") == pytest.approx(losses(tmp_path / "sharded"), rel=1e-5)
    close(tmp_path / "replicated", tmp_path / "sharded")


def test_a_run_goes_on_with_more_and_with_fewer_processes(recipe: Path, store: Store, tmp_path: Path) -> None:
    run(recipe, store, tmp_path / "alone", 1, *JOINT, "steps=6")
    for world, steps in ((1, 2), (2, 4), (1, 6)):
        run(recipe, store, tmp_path / "moved", world, *JOINT, f"steps={steps}")
    assert losses(tmp_path / "alone") == pytest.approx(losses(tmp_path / "moved"), rel=1e-5)
    close(tmp_path / "alone", tmp_path / "moved")


def test_sharded_ranks_with_uneven_shares_measure_and_reward_what_one_process_does(
    recipe: Path, store: Store, tmp_path: Path
) -> None:
    """One rank has a sample to reward and two to measure, the other none and one: each must keep the other company."""
    watch = (
        "watch={every: 1, heldout: {every: 2, samples: 3, times: [0.3, 0.7]}, grids: {every: 2, samples: 2, steps: 2}}"
    )
    reward = "reward={start: 1, steps: 4, samples: 1, t_start: 0.9, t_end: 0.1, margin: 1.0}"
    changes = (*JOINT, "batch.micro=1", watch, reward)
    run(recipe, store, tmp_path / "alone", 1, *changes)
    run(recipe, store, tmp_path / "sharded", 2, *changes, "parallel.mode=fsdp")
    for name in ("train/loss", "train/reward", "heldout/loss", "reward/style", "reward/content"):
        alone, sharded = (values(tmp_path / folder, name) for folder in ("alone", "sharded"))
        assert alone
        assert sharded == pytest.approx(alone, rel=1e-3, abs=1e-4), name
    close(tmp_path / "alone", tmp_path / "sharded")
