"""`triptych curate simulate`: figures as JSON, a table, a picture, and mistakes named before anything runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from typer.testing import CliRunner

from curation.cli.main import app

SPEC: dict[str, Any] = {
    "name": "plan",
    "sources": [{"kind": "iconify"}],
    "stages": {"stylize": {"gpus": 1.0, "workers": [1, 1]}, "destylize": {"gpus": 1.0, "workers": [1, 1]}},
}
TIMES = ["--seconds", "stylize=0.25@40", "--seconds", "destylize=0.75@40", "--seconds", "score=0.01"]


@pytest.fixture
def spec(tmp_path: Path) -> str:
    path = tmp_path / "job.yaml"
    path.write_text(yaml.safe_dump(SPEC))
    return str(path)


def run(*arguments: str) -> Any:
    return CliRunner().invoke(app, ["curate", "simulate", *arguments])


def test_json_says_how_long_how_busy_what_it_costs_and_what_to_change(spec: str, tmp_path: Path) -> None:
    picture = tmp_path / "plan.svg"
    arguments = ["--targets", "10000", "--gpus", "8", "--gpu-price", "2", "--out", str(picture), "--json"]
    done = run(spec, *TIMES, *arguments)
    assert done.exit_code == 0, done.output
    found = json.loads(done.stdout)
    assert found["candidates"] == 20_000
    assert found["graph"]["bottleneck"] == "destylize"
    assert found["hours"] == pytest.approx(20_000 * 0.75 / 3600, rel=0.05)
    assert found["cost"] == pytest.approx(found["hours"] * 8 * 2, rel=0.01)
    (advice,) = [one["settings"] for one in found["advice"] if one["settings"]]
    assert advice["stages.destylize.workers"] == "[6,6]"
    assert found["followed"]["seconds"] < found["graph"]["seconds"] / 5
    assert picture.read_text().startswith("<?xml")


def test_the_table_names_the_bottleneck_and_the_settings_it_names_are_taken(spec: str) -> None:
    done = run(spec, *TIMES, "--targets", "10000", "--gpus", "8")
    assert "bottleneck" in done.stdout
    assert "--set 'stages.destylize.workers=[6,6]'" in done.stdout
    settings = ["--set", "stages.destylize.workers=[6,6]", "--set", "stages.stylize.workers=[2,2]"]
    again = run(spec, *TIMES, *settings, "--targets", "10000", "--gpus", "8", "--json")
    assert json.loads(again.stdout)["graph"]["seconds"] < 4000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--gpus", "1", *TIMES], "stages.destylize.workers"),
        (["--gpus", "8", *TIMES, "--seconds", "judge=1"], "the job's stages are"),
        (["--gpus", "8", *TIMES, "--out", "plan.txt"], "end it in .svg"),
        (["--gpus", "8", *TIMES, "--from", "nowhere"], "nowhere"),
    ],
)
def test_what_cannot_be_simulated_is_said_in_a_line(spec: str, arguments: list[str], message: str) -> None:
    done = run(spec, "--targets", "100", *arguments)
    assert done.exit_code == 2
    assert message in done.stderr
    assert "Traceback" not in done.output
