"""A run as a user starts it: whole, killed and started again, joined by more systems, and told in a report."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import ray
from typer.testing import CliRunner, Result

from curation.cli.main import app
from curation.cluster import connected
from tests.uso.bench.making import small_set
from tests.uso.conftest import build_pipeline
from uso.bench.bench_set import BenchSet

DRAWING = ["--size", "32", "--content-side", "32", "--steps", "2", "--batch", "2"]
WRITTEN = ("table.md", "results.json", "results.parquet", "report.html")


@pytest.fixture(scope="module", autouse=True)
def _ray() -> Iterator[None]:
    """Start Ray once for the runs inside this process."""
    with connected(None, cpus=2, object_store_mb=150):
        yield


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_pipeline(tmp_path_factory.mktemp("pipeline"))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> BenchSet:
    return small_set(tmp_path_factory.mktemp("bench"))


def arguments(bench: BenchSet, pipeline: Path, out: Path, *more: str) -> list[str]:
    parts = f"pipeline={pipeline},vision={pipeline}/vision,text_length=8,"
    files = f"lora={pipeline}/dit_lora.safetensors,projector={pipeline}/projector.safetensors"
    systems = ["--system", f"uso={parts}{files}", "--system", f"base={parts.rstrip(',')}", "--system", "copy-content"]
    return ["bench", "run", str(bench.folder), *systems, *DRAWING, *more, "--out", str(out)]


def run(*given: object) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in given])


def pictures(out: Path) -> dict[str, int]:
    return {str(path.relative_to(out)): path.stat().st_mtime_ns for path in out.glob("pictures/*/*.png")}


@pytest.fixture(scope="module")
def finished(bench: BenchSet, pipeline: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished")
    done = run(*arguments(bench, pipeline, out, "--system", "copy-style"))
    assert done.exit_code == 0, done.output
    return out


def test_every_sample_is_drawn_once_by_every_system(finished: Path, bench: BenchSet) -> None:
    rows = pq.read_table(finished / "results.parquet").to_pylist()
    assert len(rows) == 4 * len(bench.samples())
    keys = [(row["system"], row["sample"]) for row in rows]
    assert len(set(keys)) == len(keys)
    told = json.loads((finished / "results.json").read_text())
    assert [system["name"] for system in told["systems"]] == ["uso", "base", "copy-content", "copy-style"]
    assert {claim["other"] for claim in told["claims"]} == {"base", "copy-content", "copy-style"}
    assert len(told["encoders"]["nano_style"]["sha256"]) == 64


def test_a_run_that_was_killed_and_started_again_ends_with_the_same_table(
    finished: Path, bench: BenchSet, pipeline: Path, tmp_path: Path
) -> None:
    """The run that is killed is a process of its own on this process's Ray, which lives on as a cluster would."""
    address = ray.get_runtime_context().gcs_address
    given = arguments(bench, pipeline, tmp_path, "--system", "copy-style", "--address", address)
    command = [sys.executable, "-m", "curation.cli", *given]
    started = subprocess.Popen(command, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 300
    while len(pictures(tmp_path)) < 3 and time.monotonic() < deadline and started.poll() is None:
        time.sleep(0.05)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    before = pictures(tmp_path)
    assert 3 <= len(before) < len(pictures(finished))
    again = subprocess.run(command, capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert before.items() <= pictures(tmp_path).items()
    for name in WRITTEN:
        assert (tmp_path / name).read_bytes() == (finished / name).read_bytes(), name


def test_more_samples_and_systems_add_to_what_is_there(bench: BenchSet, tmp_path: Path) -> None:
    first = ["bench", "run", bench.folder, *DRAWING, "--out", tmp_path]
    few = run(*first, "--system", "copy-content", "--samples-limit", 8)
    assert few.exit_code == 0, few.output
    before = pictures(tmp_path)
    more = run(*first, "--system", "copy-content", "--system", "copy-style")
    assert more.exit_code == 0, more.output
    assert before.items() < pictures(tmp_path).items()


def test_the_report_can_be_written_again(finished: Path) -> None:
    before = {name: (finished / name).read_bytes() for name in WRITTEN}
    for name in ("table.md", "report.html"):
        (finished / name).unlink()
    done = run("bench", "report", finished)
    assert done.exit_code == 0, done.output
    assert {name: (finished / name).read_bytes() for name in WRITTEN} == before


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--system", "copy-content", "--system", "copy-content"], "two systems are called"),
        ([], "no system to compare"),
        (["--system", "x=nowhere"], "neither a folder"),
        (["--system", "copy-content", "--dino", "/nowhere/at/all"], "/nowhere/at/all"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(bench: BenchSet, tmp_path: Path, given: list[str], told: str) -> None:
    done = run("bench", "run", bench.folder, *given, *DRAWING, "--out", tmp_path)
    assert done.exit_code == 2
    assert told in done.output
    assert "Traceback" not in done.output


def test_a_report_of_nothing_says_what_to_do(tmp_path: Path) -> None:
    done = run("bench", "report", tmp_path)
    assert done.exit_code == 2
    assert "triptych bench run" in done.output


@pytest.mark.parametrize(
    "command", [["build", "nano"], ["build", "product"], ["build", "dreambench"], ["run"], ["report"]]
)
def test_every_command_has_help_with_an_example(command: list[str]) -> None:
    found = run("bench", *command, "--help")
    assert found.exit_code == 0
    assert "Example" in found.stdout
