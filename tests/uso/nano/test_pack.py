"""Finished runs become a family: bfloat16, recorded; a base that is not there is named."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from curation.cli.main import app
from manifests.store import Store
from tests.uso.training.conftest import tiny_file
from tests.uso.training.stores import make_store
from uso.training.distributed import World
from uso.training.load_recipe import load_recipe
from uso.training.run import train

HELDOUT = "watch.heldout={every: 2, samples: 4, times: [0.5]}"


@pytest.fixture(scope="module")
def curated(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("curated") / "store")


@pytest.fixture
def runs(curated: Store, pipeline: Path, tmp_path: Path) -> Path:
    recipe = tiny_file(tmp_path, pipeline)
    slots = "data.slots={target: target, content: null, style: null}"
    stores = [str(curated.root)]
    train(load_recipe(recipe, ["train=[base]", slots, HELDOUT], stores), tmp_path / "runs/reference", World())
    train(load_recipe(recipe, [HELDOUT], stores), tmp_path / "runs/stylize", World())
    for name in ("autoencoder", "base"):
        shutil.copytree(tmp_path / "runs/reference", tmp_path / "runs" / name)
    return tmp_path / "runs"


def test_runs_are_packed_with_what_they_were_made_by(runs: Path, tmp_path: Path) -> None:
    out, curves = tmp_path / "family", tmp_path / "curves.png"
    told = CliRunner().invoke(app, ["nano", "pack", "--runs", str(runs), "--out", str(out), "--curves", str(curves)])
    assert told.exit_code == 0, told.output
    record = json.loads((out / "family.json").read_text())
    assert set(record) == {"pipeline", "stylize"}
    assert record["stylize"]["recipe"]["train"] == ["lora"]
    assert [step for step, _ in record["stylize"]["heldout"]] == [0, 2, 4]
    for path in out.rglob("*.safetensors"):
        assert {tensor.dtype for tensor in load_file(path).values()} == {torch.bfloat16}
    assert curves.stat().st_size > 0
    again = json.loads((out / "family.json").read_text())
    assert CliRunner().invoke(app, ["nano", "pack", "--runs", str(runs), "--out", str(out)]).exit_code == 0
    assert json.loads((out / "family.json").read_text()) == again


def test_a_base_that_was_not_trained_is_named(tmp_path: Path) -> None:
    told = CliRunner().invoke(app, ["nano", "pack", "--runs", str(tmp_path), "--out", str(tmp_path / "family")])
    assert told.exit_code != 0
    assert "make family" in told.output
    assert not (tmp_path / "family").exists()
