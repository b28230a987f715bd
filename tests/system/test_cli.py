"""The command line: help with examples, one line for each mistake, and jobs that survive what happens to them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from curation.sources.iconify import IconifySource
from manifests.store import Store
from manifests.verify import verify
from tests.system.jobs import write_spec

ROOT = Path(__file__).parents[2]
COMMANDS = [
    "corpus fetch",
    "corpus ls",
    "corpus show",
    "curate plan",
    "curate run",
    "curate calibrate",
    "curate redecide",
    "curate report",
    "encoders fit",
    "encoders eval",
    "experts eval",
    "store verify",
    "store gc",
]


def triptych(*words: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "curation.cli", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=300, **options)  # type: ignore[call-overload,no-any-return]


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself_with_an_example(command: str) -> None:
    done = triptych(*command.split(), "--help", env={**os.environ, "COLUMNS": "200"})
    assert done.returncode == 0
    assert f"triptych {command}" in done.stdout
    assert "Example" in done.stdout


def test_starting_up_imports_no_heavy_library() -> None:
    code = (
        "import sys, curation.cli.main\n"
        "print([m for m in ('torch', 'ray', 'cv2', 'pyarrow', 'matplotlib', 'diffusers') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize(
    ("changes", "flags", "complaint"),
    [
        ({"imge": {}}, [], "imge: unknown key"),
        ({"image": {"size": 7}}, [], "image.size: "),
        ({"sources": [{"kind": "folder", "path": "nowhere"}]}, [], "sources[0]"),
        ({"sources": [{"kind": "ftp"}]}, [], "sources[0]: "),
        ({"sources": []}, [], "sources: "),
        ({"treatments": ["none", "crayon"]}, [], "crayon"),
        ({"policy": [{"column": "truth", "max": 1}]}, [], "policy.rules[0].column: 'truth' is no score column"),
        ({"policy": "none.yaml"}, [], "none.yaml does not exist"),
        ({"encoder": {"weights": "none.safetensors"}}, [], "encoder.weights: "),
        ({"prompt": "{name}"}, [], "prompt: "),
        ({"layouts": {"preserved": 0, "shifted": 0}}, [], "layouts: no candidate"),
        ({"targets": {"styles": ["fauvism"]}}, [], "targets: no image"),
        ({}, ["--set", "image.size=huge"], "image.size: "),
        ({}, ["--set", "image"], "--set image: write it as"),
        ({}, ["--set", "name.x=1"], "--set name.x=1: "),
    ],
)
def test_a_bad_spec_fails_before_any_work_and_names_the_key(
    tmp_path: Path, atelier: IconifySource, changes: dict[str, object], flags: list[str], complaint: str
) -> None:
    del atelier
    done = triptych("curate", "run", write_spec(tmp_path, **changes), "--store", tmp_path / "store", *flags)
    assert done.returncode == 2
    assert complaint in " ".join(done.stderr.split())
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "store" / "tables").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["curate", "run", "nowhere.yaml"],
        ["curate", "report", "--store", "nowhere"],
        ["curate", "calibrate", "--store", "nowhere"],
        ["curate", "redecide", "--store", "nowhere", "--policy", "nowhere.yaml"],
        ["store", "verify", "--store", "nowhere"],
    ],
)
def test_a_missing_file_is_said_in_one_line(words: list[str]) -> None:
    done = triptych(*words)
    assert done.returncode == 2
    assert "nowhere" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_more_cpus_than_there_are_is_said_before_work(tmp_path: Path, atelier: IconifySource) -> None:
    del atelier
    spec = write_spec(tmp_path, stages={"score": {"cpus": 64}})
    done = triptych("curate", "run", spec, "--store", tmp_path / "store", "--limit", "2")
    assert done.returncode == 2
    assert "stages.score.cpus" in " ".join(done.stderr.split())


def test_plan_measures_and_writes_nothing(tmp_path: Path, atelier: IconifySource) -> None:
    del atelier
    done = triptych("curate", "plan", write_spec(tmp_path), "--limit", "30", "--json")
    assert done.returncode == 0, done.stderr
    plan = json.loads(done.stdout)
    assert (plan["targets"], plan["candidates"]) == (30, 60)
    assert [stage["name"] for stage in plan["stages"]] == ["ingest", "load", "stylize", "destylize", "score"]
    assert plan["seconds"] > 0
    assert plan["bytes"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["job.yaml"]


def start_job(spec: Path, store: Path, limit: int, *more: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "curation.cli", "curate", "run", str(spec), "--store", str(store)]
    flags = ["--limit", str(limit), "--no-report"]
    return subprocess.Popen(
        [*command, *flags, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        preexec_fn=_listen_to_ctrl_c,
    )


def _listen_to_ctrl_c() -> None:
    """Undo what a shell does to its background jobs: they, and the tests run in one, ignore Ctrl-C."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait_for_commits(store: Store, count: int, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if store.triplets.exists and len(store.triplets.history()) >= count:
            return
        time.sleep(0.2)
    raise AssertionError(f"no {count} commits within {seconds:g} seconds")


def test_ctrl_c_stops_cleanly_and_the_same_command_goes_on(tmp_path: Path, atelier: IconifySource) -> None:
    del atelier
    spec, store = write_spec(tmp_path), Store(tmp_path / "store")
    job = start_job(spec, store.root, 120)
    wait_for_commits(store, 2)
    job.send_signal(signal.SIGINT)
    _, errors = job.communicate(timeout=60)
    assert job.returncode == 130
    assert "To go on: triptych curate run" in " ".join(errors.split())
    before = store.committed_candidates()
    assert 0 < len(before) < 240
    done = triptych("curate", "run", spec, "--store", store.root, "--limit", "120", "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["committed_before"] == len(before)
    assert summary["committed"] == 240 - len(before)
    assert verify(store).faults == []
    runs = sorted(store.jobs.read().to_pylist(), key=lambda row: row["started"])
    assert [row["status"] for row in runs] == ["interrupted", "finished"]


def test_two_jobs_started_at_once_make_one_set_of_candidates(tmp_path: Path, atelier: IconifySource) -> None:
    del atelier
    spec, store = write_spec(tmp_path), Store(tmp_path / "store")
    jobs = [start_job(spec, store.root, 30, "--json") for _ in range(2)]
    ended = [job.communicate(timeout=240) for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0], ended
    summaries = [json.loads(out) for out, _ in ended]
    assert sum(summary["committed"] for summary in summaries) == 60
    assert all(s["committed_before"] + s["committed"] + s["left_out"] == 60 for s in summaries)
    assert len(store.committed_candidates()) == 60
    assert verify(store).faults == []


def test_a_disk_that_cannot_be_written_is_said_in_a_line_and_the_job_goes_on_afterwards(
    tmp_path: Path, atelier: IconifySource
) -> None:
    """`shards` is a file here, so that packing fails as it does on a full disk."""
    del atelier
    store = tmp_path / "store"
    store.mkdir()
    (store / "shards").write_bytes(b"")
    words = ["curate", "run", write_spec(tmp_path), "--store", store, "--limit", "4", "--no-report"]
    done = triptych(*words)
    assert done.returncode == 1
    assert "The job failed: " in done.stderr
    assert "Traceback" not in done.stderr
    (store / "shards").unlink()
    again = triptych(*words, "--json")
    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["committed"] == 8
    assert verify(Store(store)).faults == []


def test_redecide_and_verify_and_gc_speak_json_or_lines(tmp_path: Path, atelier: IconifySource) -> None:
    del atelier
    store = tmp_path / "store"
    done = triptych("curate", "run", write_spec(tmp_path), "--store", store, "--limit", "10", "--json")
    assert done.returncode == 0, done.stderr
    assert (store / "report" / "index.html").is_file()
    policy = tmp_path / "strict.yaml"
    policy.write_text("- {column: style_leak, max: -1}\n")
    compared = triptych("curate", "redecide", "--store", store, "--policy", policy, "--json")
    assert json.loads(compared.stdout)["accepted_after"] == 0
    changes = tmp_path / "changes.csv"
    shown = triptych("curate", "redecide", "--store", store, "--policy", policy, "--changes", changes)
    assert "0 after" in shown.stdout
    assert len(changes.read_text().splitlines()) == json.loads(done.stdout)["accepted"] + 1
    checked = triptych("store", "verify", "--store", store, "--json")
    assert json.loads(checked.stdout)["sound"]
    (store / "shards" / "stray.tar").write_bytes(b"")
    assert "0 files" in triptych("store", "gc", "--store", store).stdout  # it may be of a job that is about to commit
    assert "stray.tar" in triptych("store", "gc", "--store", store, "--grace", "0", "--dry-run").stdout
    triptych("store", "gc", "--store", store, "--grace", "0")
    assert not (store / "shards" / "stray.tar").exists()
    shard = next((store / "shards").glob("*.tar"))
    shard.write_bytes(shard.read_bytes()[:-1])
    assert triptych("store", "verify", "--store", store).returncode == 1


@pytest.mark.slow
def test_ten_kills_at_random_moments_lose_nothing_and_double_nothing(tmp_path: Path, atelier: IconifySource) -> None:
    del atelier
    import random

    random.seed(7)
    spec, limit = write_spec(tmp_path), 150
    whole, killed = Store(tmp_path / "whole"), Store(tmp_path / "killed")
    assert start_job(spec, whole.root, limit).wait(timeout=300) == 0
    for _ in range(10):
        job = start_job(spec, killed.root, limit)
        time.sleep(random.uniform(2, 22))
        job.kill()
        job.wait()
    last = start_job(spec, killed.root, limit)
    _, errors = last.communicate(timeout=300)
    assert last.returncode == 0, errors
    ids = killed.triplets.read(["candidate_id"])["candidate_id"].to_pylist()
    assert len(ids) == len(set(ids))
    assert set(ids) == whole.committed_candidates()
    assert verify(killed).faults == []
    names = {shard["name"]: shard["sha256"] for shard in killed.committed_shards()}
    assert names == {shard["name"]: shard["sha256"] for shard in whole.committed_shards()}
