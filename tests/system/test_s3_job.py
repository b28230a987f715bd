"""A whole job into a store on a real S3 server, by the command line; nothing of the store touches the disk."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from curation.sources.iconify import IconifySource
from manifests.snapshot import Snapshot
from manifests.store import Store
from manifests.verify import verify
from tests.system.jobs import write_spec
from tests.system.seaweed import SECRET, Seaweed
from tests.system.test_cli import triptych

ROOT = "s3://data/sets/job"


def test_a_job_runs_into_s3_and_its_store_is_kept_up_there(
    seaweed: Seaweed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, atelier: IconifySource
) -> None:
    del atelier
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    spec = write_spec(tmp_path, shards={"candidates": 8})
    run = ("curate", "run", spec, "--store", ROOT, "--json", "--limit")
    first = triptych(*run, "8", "--no-report")
    assert first.returncode == 0, first.stderr
    done = triptych(*run, "16")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert (summary["committed_before"], summary["committed"], summary["left_out"]) == (16, 16, 0)
    assert summary["report"] == f"{ROOT}/report/index.html"
    store = Store(ROOT)
    assert b"<html" in store.files.read("report/index.html")
    assert len(store.committed_candidates()) == 32
    policy = tmp_path / "strict.yaml"
    policy.write_text("- {column: style_leak, max: -1}\n")
    redecided = triptych("curate", "redecide", "--store", ROOT, "--policy", policy, "--json")
    assert json.loads(redecided.stdout)["accepted_after"] == 0
    rows = Snapshot(ROOT).samples(None, None, ["candidate_id"]).num_rows
    for words in (("gc", "--grace", "0"), ("compact",), ("vacuum", "--older-than", "0"), ("verify",)):
        kept = triptych("store", *words, "--store", ROOT)
        assert kept.returncode == 0, kept.stderr + kept.stdout
        assert SECRET not in kept.stdout + kept.stderr
    assert Snapshot(ROOT).samples(None, None, ["candidate_id"]).num_rows == rows
    assert verify(store).faults == []
    refused = triptych("store", "verify", "--store", "s3://nowhere/else")
    assert refused.returncode == 2
    assert len(refused.stderr.strip().splitlines()) == 1
    assert not [path for path in tmp_path.rglob("*") if path.name in ("shards", "tables")]
    assert not Path("s3:").exists()
    assert os.environ["AWS_SECRET_ACCESS_KEY"] not in done.stdout + done.stderr
