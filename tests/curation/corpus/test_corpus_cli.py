"""`triptych corpus` counts what is there and names the mend for what is not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from curation.cli.main import app
from curation.sources.iconify import IconifySource
from workers.treatments.registry import DEFAULT_TREATMENTS


def test_counts_add_up(atelier: IconifySource) -> None:
    result = CliRunner().invoke(app, ["corpus", "ls", "--json"])
    told = json.loads(result.stdout)
    assert sum(row["subjects"] for row in told["sets"]) == told["total"]["images"] == len(atelier.refs())
    for row in told["sets"]:
        assert row["train"] + row["heldout"] == row["subjects"]
    table = CliRunner().invoke(app, ["corpus", "ls"])
    assert table.exit_code == 0
    assert f"{len(atelier.refs()):,} images" in table.stdout


def test_a_sheet_shows_every_family_under_every_treatment(atelier: IconifySource, tmp_path: Path) -> None:
    out = tmp_path / "new folder" / "sheet.png"
    result = CliRunner().invoke(
        app, ["corpus", "show", "--subjects", "octopus,red-apple", "--size", "48", "--out", str(out)]
    )
    assert result.exit_code == 0
    assert str(out) in result.stdout
    sheet = np.asarray(Image.open(out).convert("RGB"))
    families = {ref.family for ref in atelier.refs()}
    places = [
        sheet[26 + 54 * row :, 150 + 54 * column :][:48, :48]
        for row in range(2 * len(families))
        for column in range(1 + len(DEFAULT_TREATMENTS))
    ]
    painted = {place.tobytes() for place in places if (place < 255).any()}
    assert len(painted) == 2 * ((len(families) - 1) * (1 + len(DEFAULT_TREATMENTS)) + 1), (
        "realistic ones stay untreated"
    )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--subjects", "xyzzy"], "no set shows 'xyzzy'"),
        (["--subjects", "ger-fac"], "tiger-face"),
        (["--subjects", "octopsu"], "octopus"),
        (["--subjects", " , "], "names no subject"),
        (["--out", "sheet.jpg"], "must end in .png"),
        (["--subjects", "octopus", "--size", "32", "--out", "file/sheet.png"], "cannot be written"),
    ],
)
def test_what_a_sheet_cannot_do_is_told_in_one_line(
    atelier: IconifySource, options: list[str], told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert atelier.refs()
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("in the way")
    result = CliRunner().invoke(app, ["corpus", "show", *options])
    assert result.exit_code == 2
    assert told in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_missing_npm_is_told_in_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRIPTYCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PATH", str(tmp_path))
    result = CliRunner().invoke(app, ["corpus", "fetch"])
    assert result.exit_code == 2
    assert "install Node.js" in result.stderr
    assert "Traceback" not in result.output


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
