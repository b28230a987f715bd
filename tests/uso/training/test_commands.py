"""`triptych train` and `triptych runs` as a user types them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from curation.cli.main import app
from manifests.store import Store
from tests.uso.training.conftest import tiny_file


@pytest.fixture(scope="module")
def run(store: Store, pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("commands")
    recipe = tiny_file(folder, pipeline)
    result = CliRunner().invoke(
        app, ["train", str(recipe), "--data", str(store.root), "--out", str(folder / "run"), "--steps", "2"]
    )
    assert result.exit_code == 0, result.output
    assert "dit_lora.safetensors" in result.output
    return folder / "run"


def test_a_run_is_not_overwritten_but_can_go_on(run: Path, store: Store) -> None:
    command = ["train", str(run.parent / "tiny.yaml"), "--data", str(store.root), "--out", str(run), "--steps", "3"]
    refused = CliRunner().invoke(app, command)
    assert refused.exit_code == 2
    assert "--resume latest" in " ".join(refused.output.split())
    assert CliRunner().invoke(app, [*command, "--resume", "latest"]).exit_code == 0


def test_a_dry_run_says_what_would_be_trained(run: Path, store: Store, tmp_path: Path) -> None:
    out = tmp_path / "dry"
    result = CliRunner().invoke(
        app, ["train", str(run.parent / "tiny.yaml"), "--data", str(store.root), "--out", str(out), "--dry-run"]
    )
    assert result.exit_code == 0
    assert "trains lora for 4 steps of 6 samples" in result.output
    assert not out.exists()


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--set", "batch.size=none"], "batch.size"),
        (["--set", "data.where=layot = 1"], "layot"),
        (["--resume", "nowhere"], "is no checkpoint"),
        (["--data", "nowhere"], "nowhere"),
    ],
)
def test_a_bad_flag_is_told_in_a_line(run: Path, store: Store, tmp_path: Path, more: list[str], told: str) -> None:
    command = ["train", str(run.parent / "tiny.yaml"), "--data", str(store.root), "--out", str(tmp_path / "run")]
    result = CliRunner().invoke(app, [*command, *more])
    assert result.exit_code == 2
    assert told in result.output
    assert not (tmp_path / "run").exists()


def test_checkpoints_are_verified_and_their_samples_told(run: Path, store: Store) -> None:
    assert CliRunner().invoke(app, ["runs", "verify", str(run)]).exit_code == 0
    names = store.triplets.read(["candidate_id"])["candidate_id"].to_pylist()
    told = json.loads(CliRunner().invoke(app, ["runs", "uses", str(run), *names, "--json"]).stdout)
    assert sum(use["times"] for uses in told.values() for use in uses if use["step"] == 2) == 12
    assert "not among" in CliRunner().invoke(app, ["runs", "uses", str(run), "0" * 32]).output
    assert CliRunner().invoke(app, ["runs", "report", str(run)]).exit_code == 0
    assert (run / "report.html").is_file()


def test_a_damaged_checkpoint_ends_with_status_one(run: Path) -> None:
    victim = sorted((run / "checkpoints").iterdir())[0] / "weights/dit_lora.safetensors"
    data = victim.read_bytes()
    victim.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    result = CliRunner().invoke(app, ["runs", "verify", str(run)])
    victim.write_bytes(data)
    assert result.exit_code == 1
    assert "dit_lora.safetensors" in result.output
