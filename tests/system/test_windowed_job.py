"""A job that goes through many windows commits what it would commit in one."""

from __future__ import annotations

import hashlib
from functools import partial
from pathlib import Path

import pytest

from curation import job
from curation.job import run_job
from curation.windows import windows
from manifests.store import Store
from manifests.verify import verify
from tests.system.jobs import small_spec

LIMIT = 14
pytestmark = pytest.mark.usefixtures("ray_local", "atelier")


def test_small_windows_make_the_same_candidates_and_the_same_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = small_spec(tmp_path)
    stores = [Store(tmp_path / name) for name in ("whole", "windows")]
    whole = run_job(spec, stores[0], limit=LIMIT)
    monkeypatch.setattr(job, "windows", partial(windows, candidates=16))
    parts = run_job(spec, stores[1], limit=LIMIT)
    assert parts.progress.committed == whole.progress.committed == 2 * LIMIT
    assert parts.progress.reasons == whole.progress.reasons
    first, second = (
        {
            path.name: hashlib.sha256(path.read_bytes()).hexdigest()
            for path in (tmp_path / name / "shards").glob("*.tar")
        }
        for name in ("whole", "windows")
    )
    assert first == second != {}
    assert verify(stores[1]).faults == []
    assert run_job(spec, stores[1], limit=LIMIT).progress.committed == 0
