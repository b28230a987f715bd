"""`triptych corpus` counts what is there and names the mend for what is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from curation.cli.main import app
from curation.sources.iconify import IconifySource


def test_counts_add_up(atelier: IconifySource) -> None:
    result = CliRunner().invoke(app, ["corpus", "ls", "--json"])
    told = json.loads(result.stdout)
    assert sum(row["subjects"] for row in told["sets"]) == told["total"]["images"] == len(atelier.refs())
    for row in told["sets"]:
        assert row["train"] + row["heldout"] == row["subjects"]
    assert CliRunner().invoke(app, ["corpus", "ls"]).exit_code == 0


@pytest.mark.parametrize("command", [["ls"], ["show"]])
def test_a_missing_corpus_is_told_in_one_line(
    command: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "empty"))
    result = CliRunner().invoke(app, ["corpus", *command])
    assert result.exit_code == 2
    assert "run `triptych corpus fetch`" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_cache_that_cannot_be_written_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "file"))
    result = CliRunner().invoke(app, ["corpus", "fetch"])
    assert result.exit_code == 2
    assert "TRIPTYCH_CACHE" in result.stderr
    assert "Traceback" not in result.output


@pytest.mark.parametrize("command", [[], ["fetch"], ["ls"], ["show"]])
def test_every_command_explains_itself(command: list[str]) -> None:
    result = CliRunner().invoke(app, ["corpus", *command, "--help"])
    assert result.exit_code == 0
