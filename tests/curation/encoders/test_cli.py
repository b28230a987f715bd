"""The commands measure, fit a little, and name the mend where something is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from curation.cli.main import app

runner = CliRunner()


@pytest.mark.usefixtures("atelier")
def test_eval_reports_figures_tables_and_a_picture(tmp_path: Path) -> None:
    run = runner.invoke(app, ["encoders", "eval", "--json", "--subjects", "6", "--out", str(tmp_path)])
    assert run.exit_code == 0, run.output
    report = json.loads(run.stdout)
    assert report["subjects"] == 6
    assert report["figures"]["nano"]["style"] > 0.8
    assert set(report["by_family"]) >= {"color", "openmoji", "fluent-flat"}
    assert report == json.loads((tmp_path / "evaluation.json").read_text())
    assert (tmp_path / "confusion.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("arguments", "mend"),
    [
        (["fit", "--out", "weights.bin"], "name the file *.safetensors"),
        (["fit", "--left-out-treatment", "glitter"], "there are pencil"),
        (["fit", "--left-out-family", "manga"], "there are color"),
        (["eval", "--weights", "missing.safetensors"], "missing.safetensors"),
        (["eval", "--weights", __file__], "does not hold the weights of a nano encoder"),
    ],
)
@pytest.mark.usefixtures("atelier")
def test_mistakes_are_one_line_and_exit_2(
    arguments: list[str], mend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = runner.invoke(app, ["encoders", *arguments])
    assert run.exit_code == 2
    assert mend in run.stderr
    assert len(run.stderr.strip().splitlines()) == 1


def test_before_a_fetch_the_command_that_brings_the_artwork_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path))
    run = runner.invoke(app, ["encoders", "eval"])
    assert run.exit_code == 2
    assert "triptych corpus fetch" in run.stderr
