"""A whole job whose experts and judge are endpoints at fault in every fifth answer: nothing is lost, nothing twice."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from curation.job import run_job
from manifests.store import Store
from manifests.verify import verify
from tests.system import edits_endpoint, endpoint
from tests.system.edits_endpoint import Asked, EditsEndpoint, inverted, running_edits
from tests.system.endpoint import BROKEN, CUT, Endpoint, judging, running_endpoint, saying
from tests.system.jobs import small_spec

pytestmark = pytest.mark.usefixtures("ray_local", "atelier")

FAULTY = 5
"""Every so many answers, one is at fault."""


@pytest.fixture(scope="module")
def edits() -> Iterator[EditsEndpoint]:
    with running_edits() as server:
        yield server


@pytest.fixture(scope="module")
def judge() -> Iterator[Endpoint]:
    with running_endpoint() as server:
        yield server


@pytest.mark.parametrize("targets", [20, pytest.param(1000, marks=pytest.mark.slow)])
def test_every_candidate_ends_once_and_its_cost_is_counted(
    edits: EditsEndpoint, judge: Endpoint, tmp_path: Path, targets: int
) -> None:
    faults = itertools.cycle([CUT, BROKEN, judging(style_match=7), saying("no idea"), endpoint.refusing(500)])
    verdicts, pictures = itertools.count(1), itertools.count(1)

    def judged(_asked: dict[str, Any]) -> endpoint.Said:
        return judging() if next(verdicts) % FAULTY else next(faults)

    def drawn(asked: Asked) -> edits_endpoint.Said:
        return inverted(asked) if next(pictures) % FAULTY else edits_endpoint.refusing(400, "not this one")

    judge.reply, edits.reply = judged, drawn
    expert = {"kind": "http", "base_url": edits.url, "model": "image-1", "price": 0.01, "retries": 1, "concurrency": 4}
    spec = small_spec(
        tmp_path,
        image={"size": 32},
        targets={"per_subject": 1, "folds": None, "subjects": None},
        experts={"stylize": [expert], "destylize": [expert]},
        judge={"kind": "openai", "model": "m", "base_url": judge.url, "retries": 1, "canaries": 3},
        faults={"share": 0.0},
        policy=[{"column": "judge.style_match", "min": 3}],
        shards={"candidates": 64},
    )
    store = Store(tmp_path / "store")
    summary = run_job(spec, store, limit=targets)
    rows = store.triplets.read().to_pylist()
    assert summary.status == "finished"
    assert len({row["candidate_id"] for row in rows}) == len(rows) == 2 * targets
    judgements = [row for row in store.judgements.read().to_pylist() if row["canary"] is None]
    assert len({row["candidate_id"] for row in judgements}) == len(judgements)
    both = [row for row in rows if row["style_id"] and row["content_id"]]
    assert {row["candidate_id"] for row in judgements} <= {row["candidate_id"] for row in both}
    for row in rows:
        assert row["accepted"] == (not row["reasons"])
        assert row["accepted"] == (row["judge_style_match"] == 4)
        if row["accepted"]:
            assert row["shard"]
    unmade = ("stylize_failed:", "destylize_failed:")
    failed = [row for row in rows if any(reason.startswith(unmade) for reason in row["reasons"])]
    assert 0.1 < len(failed) / len(rows) < 0.6
    assert any(row["failure"] for row in judgements)
    assert sum(row["tokens_in"] for row in judgements) >= 100 * sum(row["failure"] is None for row in judgements)
    assert verify(store).faults == []
