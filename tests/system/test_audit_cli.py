"""`triptych audit` as a user calls it: what is printed, what is written, and exit codes."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from curation.cli.main import app
from manifests.store import Store
from tests.manifests.audit.histories import accepted, candidate, commit_rows, image, write_run

IMAGES = {role: image(role, 0) for role in ("target", "content", "style")}
GOOD, BAD = accepted(candidate("a", IMAGES)), candidate("b", IMAGES)
VERBS = ("explain", "lineage", "descendants", "query", "schema", "diff", "licences", "balance")


def audit(*words: str | Path) -> Result:
    return CliRunner().invoke(app, ["audit", *map(str, words)], env={"COLUMNS": "200"})


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("store")
    for row in (GOOD, BAD):
        commit_rows(Store(folder), [row], list(IMAGES.values()))
    return folder


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself_with_an_example(verb: str) -> None:
    result = audit(verb, "--help")
    assert result.exit_code == 0
    assert f"triptych audit {verb}" in result.output
    assert "Example" in result.output


@pytest.mark.parametrize("verb", ["licences", "balance"])
def test_json_is_json_alone(root: Path, verb: str) -> None:
    assert json.loads(audit(verb, "--store", root, "--json").stdout)["version"] == 1


def test_a_story_is_printed_and_written_as_a_page(root: Path, tmp_path: Path) -> None:
    page = tmp_path / "story.html"
    result = audit("explain", GOOD["candidate_id"][:8], "--store", root, "--html", page)
    assert f"Candidate {GOOD['candidate_id']}: accepted" in result.stdout
    assert page.read_text().startswith("<!doctype html>")
    assert result.exit_code == 1, "no job of this store has the policy, and that is found"
    assert "What does not agree" in result.stdout


def test_graphs_are_printed_and_written(root: Path, tmp_path: Path) -> None:
    runs = write_run(tmp_path / "runs" / "stage1", [GOOD["candidate_id"]])
    dot, svg = tmp_path / "g.dot", tmp_path / "g.svg"
    words = ("descendants", str(IMAGES["style"].asset_id), "--store", root, "--dot", dot, "--svg", svg)
    result = audit(*words)
    assert result.exit_code == 0
    assert "committed in: commit version 0" in result.stdout
    assert dot.read_text().startswith("digraph")
    assert svg.read_text().startswith("<svg")
    with_runs = audit("lineage", f"run:{runs}", "--store", root, "--runs", tmp_path / "runs", "--json")
    assert f"candidate:{GOOD['candidate_id']}" in {node["id"] for node in json.loads(with_runs.stdout)[0]["nodes"]}


def test_rows_come_as_table_csv_and_json(root: Path) -> None:
    sql = "select candidate_id, accepted from triplets order by accepted"
    assert BAD["candidate_id"] in audit("query", sql, "--store", root).stdout
    rows = list(csv.DictReader(io.StringIO(audit("query", sql, "--store", root, "--format", "csv").stdout)))
    assert rows[1] == {"candidate_id": GOOD["candidate_id"], "accepted": "True"}
    assert json.loads(audit("query", sql, "--store", root, "--json").stdout)[0]["accepted"] is False


def test_columns_are_explained() -> None:
    assert "style_leak" in audit("schema", "triplets").stdout
    assert len(json.loads(audit("schema", "--json").stdout)) > 80


@pytest.mark.parametrize(("words", "code"), [(("0", "1"), 0), (("1", "0"), 1), (("0", "0"), 0)])
def test_a_store_that_only_grew_is_well(root: Path, words: tuple[str, ...], code: int) -> None:
    assert audit("diff", *words, "--store", root).exit_code == code


def test_a_policy_that_is_not_kept_is_found(root: Path, tmp_path: Path) -> None:
    policy, out = tmp_path / "licences.yaml", tmp_path / "ATTRIBUTION.md"
    policy.write_text("deny: [MIT]\n")
    result = audit("licences", "--store", root, "--policy", policy, "--attribution", out)
    assert result.exit_code == 1
    assert "MIT is denied: 1 accepted triplets" in result.stdout
    assert "A. Painter" in out.read_text()


@pytest.mark.parametrize(
    ("words", "fault"),
    [
        (("explain", "ab", "--store", "{root}"), "too short"),
        (("explain", "0123abcd", "--store", "{root}"), "no candidate and no image"),
        (("explain", "0123abcd", "--store", "{root}/none"), "no such folder"),
        (("query", "drop table triplets", "--store", "{root}"), "one SELECT is taken"),
        (("licences", "--store", "{root}", "--policy", "{root}/none.yaml"), "cannot be read"),
        (("descendants", "0123abcd", "--store", "{root}", "--runs", "{root}/shards"), "no training run"),
        (("diff", "0", "9", "--store", "{root}"), "the newest is 1"),
        (("schema", "no_such"), "no such table"),
    ],
)
def test_what_cannot_be_done_is_one_line_and_exit_code_2(root: Path, words: tuple[str, ...], fault: str) -> None:
    result = audit(*(word.format(root=root) for word in words))
    assert result.exit_code == 2
    assert fault in result.stderr
    assert "Traceback" not in result.output
    assert len(result.stderr.strip().splitlines()) == 1
