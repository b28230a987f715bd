"""Jobs sent to a cluster through Ray Jobs: followed, listed, cancelled, sent again; and the store's status."""

from __future__ import annotations

import json
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from curation.sources.iconify import IconifySource
from manifests.store import Store
from manifests.verify import verify
from tests.system.jobs import write_spec
from tests.system.ray_head import Head, running_head
from tests.system.test_cli import triptych

TOKEN = "triptych-test-token-0123456789abcdef"
ACCESS = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": TOKEN}
_ASIDE = ("RAY_ADDRESS", "RAY_API_SERVER_ADDRESS", "RAY_AUTH_TOKEN_PATH", "RAY_JOB_SUBMISSION_ID")


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _ASIDE}
    return {**kept, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "OMP_NUM_THREADS": "1", **more}


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Head]:
    with running_head(tmp_path_factory.mktemp("head"), environment(**ACCESS)) as running:
        yield running


def told(head: Head, *words: str | Path, access: Mapping[str, str] = ACCESS) -> Any:
    return triptych("curate", *words, "--address", head.jobs, env=environment(**access))


def wait_until(done: Any, seconds: float = 120) -> None:
    end = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end
        time.sleep(0.5)


def test_a_job_that_is_sent_runs_there_with_the_files_it_names_and_its_log_is_followed(
    head: Head, tmp_path: Path, atelier: IconifySource
) -> None:
    del atelier
    (tmp_path / "rules.yaml").write_text("- {column: style_leak, max: -1}\n")
    spec, store = write_spec(tmp_path, policy="rules.yaml", ray={"cpus": 1}), tmp_path / "store"
    sent = told(head, "submit", spec, "--store", store, "--limit", "4", "--no-report")
    assert sent.returncode == 0, sent.stderr + sent.stdout
    job = sent.stdout.splitlines()[0]
    assert re.fullmatch(r"triptych-small-[0-9a-f]{8}", job)
    assert "candidates" in sent.stdout
    held = Store(store)
    rows = held.triplets.read(["accepted", "reasons"]).to_pylist()
    assert len(rows) == 8
    assert not any(row["accepted"] for row in rows), "the policy that travelled along refuses everything"
    assert verify(held).faults == []
    listed = json.loads(told(head, "jobs", "list", "--json").stdout)
    assert [(row["id"], row["status"], row["store"]) for row in listed] == [(job, "SUCCEEDED", str(store))]
    assert f"{job}: succeeded" in told(head, "jobs", "status", job).stdout
    assert told(head, "jobs", "logs", job).stdout.strip() in sent.stdout.replace("\r", "")
    assert TOKEN not in sent.stdout + sent.stderr + "".join(f.read_text() for f in store.rglob("*.json"))


def test_a_job_is_seen_in_its_store_cancelled_and_goes_on_when_it_is_sent_again(
    head: Head, tmp_path: Path, atelier: IconifySource
) -> None:
    del atelier
    spec, store = write_spec(tmp_path, shards={"candidates": 4}), tmp_path / "store"
    sent = told(head, "submit", spec, "--store", store, "--limit", "300", "--no-report", "--no-follow")
    assert sent.returncode == 0, sent.stderr
    job = sent.stdout.strip()
    assert f"jobs cancel {job}" in sent.stderr

    def status() -> dict[str, Any]:
        seen = triptych("curate", "status", "--store", store, "--json")
        assert seen.returncode == 0, seen.stderr
        return json.loads(seen.stdout)  # type: ignore[no-any-return]

    wait_until(lambda: (store / "tables" / "triplets").exists() and status()["committed"]["candidates"])
    running = status()["running"]
    assert [beat["submission"] for beat in running] == [job]
    assert f"small ({running[0]['job_id']}) on " in triptych("curate", "status", "--store", store).stdout
    ended = told(head, "jobs", "cancel", job)
    assert ended.returncode == 0, ended.stderr
    assert "stopped" in ended.stdout
    after = status()
    assert after["running"] == []
    assert 0 < after["committed"]["candidates"] < 600
    assert after["last"]["status"] == "interrupted"
    again = told(head, "submit", spec, "--store", store, "--limit", "40", "--no-report")
    assert again.returncode == 0, again.stderr + again.stdout
    held = Store(store)
    ids = held.triplets.read(["candidate_id"])["candidate_id"].to_pylist()
    assert len(ids) == len(set(ids)) >= 80
    assert verify(held).faults == []


def test_a_job_that_fails_there_fails_here_and_says_why(head: Head, tmp_path: Path) -> None:
    spec = write_spec(tmp_path, sources=[{"kind": "folder", "path": "/nowhere/at/all"}])
    refused = told(head, "submit", spec, "--store", tmp_path / "store")
    assert refused.returncode == 2
    assert "--no-checked" in refused.stderr
    failed = told(head, "submit", spec, "--store", tmp_path / "store", "--no-checked")
    assert failed.returncode == 1
    assert "sources[0]" in failed.stdout
    assert "failed" in failed.stderr


@pytest.mark.parametrize(
    ("words", "access", "complaint"),
    [
        (("jobs", "list"), {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "another-token-0123456789"}, "token"),
        (("jobs", "status", "triptych-none-00000000"), ACCESS, "no such job"),
        (("jobs", "logs", "triptych-none-00000000"), ACCESS, "no such job"),
        (("jobs", "cancel", "triptych-none-00000000"), ACCESS, "no such job"),
        (("submit", "SPEC", "--store", "here"), ACCESS, "--store here: "),
        (("submit", "SPEC", "--store", "/tmp/x", "--env", "A=secret"), ACCESS, "--env A: no such variable"),
        (("submit", "SPEC", "--store", "/tmp/x", "--set", "image.size=7"), ACCESS, "image.size: "),
    ],
)
def test_a_mistake_costs_one_line(
    words: tuple[str, ...], access: dict[str, str], complaint: str, head: Head, tmp_path: Path
) -> None:
    spec = write_spec(tmp_path)
    done = told(head, *(str(spec) if word == "SPEC" else word for word in words), access=access)
    assert done.returncode == 2
    assert complaint in done.stderr
    assert "Traceback" not in done.stderr
    assert "secret" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("address", "complaint"),
    [("127.0.0.1:1", "give the head node's dashboard"), ("http://127.0.0.1:1", "no answer")],
)
def test_a_cluster_that_is_not_there_is_said_at_once(address: str, complaint: str) -> None:
    done = triptych("curate", "jobs", "list", "--address", address)
    assert done.returncode == 2
    assert complaint in done.stderr
