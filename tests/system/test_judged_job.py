"""A whole job with a judge: real Ray, a real endpoint that misbehaves, and a local model."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pytest

from curation.job import run_job
from curation.judging import JudgeError
from curation.policy.redecide import COLUMNS, compare
from curation.policy.rules import Policy, Rule
from curation.report.build import write_report
from manifests.store import Store
from manifests.verify import verify
from tests.system.endpoint import BROKEN, CUT, Endpoint, Said, judging, refusing, running_endpoint, saying
from tests.system.jobs import small_spec
from tests.workers.judges.small_vlm import save_small_vlm

pytestmark = pytest.mark.usefixtures("ray_local", "atelier")

LIMIT = 40
POLICY = [{"column": "style_leak", "max": 0.8}, {"column": "judge.style_match", "min": 3}]
BAD_DAYS = (
    judging(),
    judging(style_match=1),
    refusing(429, headers=(("Retry-After", "0.05"),)),
    judging(style_match=7),
    CUT,
    judging(),
    BROKEN,
    saying("What a lovely bird."),
)


@pytest.fixture(scope="module")
def server() -> Iterator[Endpoint]:
    with running_endpoint() as endpoint:
        yield endpoint


def judge_of(server: Endpoint, **more: Any) -> dict[str, Any]:
    known = {"kind": "openai", "model": "m", "base_url": server.url, "retries": 1, "timeout": 10, "concurrency": 4}
    return {**known, **more}


def test_every_candidate_ends_once_whatever_the_endpoint_does(server: Endpoint, tmp_path: Path) -> None:
    days = itertools.cycle(BAD_DAYS)
    server.reply = lambda _asked: next(days)
    spec = small_spec(tmp_path, policy=POLICY, judge=judge_of(server))
    store = Store(tmp_path / "store")
    summary = run_job(spec, store, limit=LIMIT)
    rows = store.triplets.read().to_pylist()
    assert len({row["candidate_id"] for row in rows}) == len(rows) == LIMIT * 2
    judgements = {row["candidate_id"]: row for row in store.judgements.read().to_pylist() if not row["canary"]}
    for row in rows:
        judged = judgements.get(row["candidate_id"])
        scores_reject = any(reason.startswith("style_leak") for reason in row["reasons"])
        assert (judged is None) == (scores_reject or row["style_leak"] is None)
        if judged is None:
            assert "judge" in row["skipped"]
            continue
        has_verdict = judged["failure"] is None
        assert has_verdict == (row["judge_style_match"] is not None)
        assert row["judge_style_match"] in ((4, 1) if has_verdict else (None,))
        assert row["accepted"] == (row["judge_style_match"] == 4)
        if judged["failure"] == "judge_unparsable":
            assert len(judged["answers"]) == 2
            assert "judge_unparsable" in row["reasons"]
    failures = {row["failure"] for row in judgements.values()}
    assert {None, "judge_unparsable", "judge_failed:protocol"} <= failures
    assert summary.progress.canaries == 6
    assert sum(row["tokens_in"] for row in judgements.values()) > 0
    assert verify(store).faults == []
    page = Path(write_report(store)).read_text()
    assert "Canaries judged rightly" in page
    assert "What a lovely bird." in page
    looser = compare(store.triplets.read(list(COLUMNS)), Policy(rules=(Rule(column="judge.style_match", min=1),)))
    assert looser.accepted_after > looser.accepted_before


def test_an_answer_that_was_had_is_not_asked_for_again(server: Endpoint, tmp_path: Path) -> None:
    server.says(judging())
    spec = small_spec(tmp_path, policy=POLICY, judge=judge_of(server, canaries=0))
    store = Store(tmp_path / "store")
    run_job(spec, store, limit=6)
    asked = len(server.asked)
    assert asked > 0
    other = Store(tmp_path / "other")
    other.root.mkdir()
    (store.root / "cache").rename(other.root / "cache")  # as if the first run had been killed before its commit
    run_job(spec, other, limit=6)
    assert len(server.asked) == asked
    ids = ["candidate_id", "judge_style_match", "accepted"]
    order = "candidate_id"
    first, second = (each.triplets.read(ids).sort_by(order) for each in (store, other))
    assert first.equals(second)


def test_an_endpoint_that_refuses_ends_the_job_before_it_begins(server: Endpoint, tmp_path: Path) -> None:
    server.says(refusing(401, "who are you?"))
    store = Store(tmp_path / "store")
    with pytest.raises(JudgeError, match=r"judge\.api_key_env"):
        run_job(small_spec(tmp_path, judge=judge_of(server)), store, limit=4)
    assert store.triplets.read().num_rows == 0


def test_all_scored_rows_are_judged_without_short_circuit(server: Endpoint, tmp_path: Path) -> None:
    def reply(asked: dict[str, Any]) -> Said:
        assert "response_format" in asked
        return judging()

    server.reply = reply
    spec = small_spec(tmp_path, policy=POLICY, judge=judge_of(server, short_circuit=False, canaries=0))
    store = Store(tmp_path / "store")
    run_job(spec, store, limit=8)
    rows = store.triplets.read()
    assert pc.sum(pc.equal(rows["judge_style_match"], 4)).as_py() == pc.sum(pc.is_valid(rows["style_leak"])).as_py()
    row = next(row for row in rows.to_pylist() if row["accepted"])
    assert row["judge_layout"] == "shifted"


def test_a_local_model_judges_in_the_workers(tmp_path: Path) -> None:
    model = save_small_vlm(tmp_path / "vlm")
    judge = {"kind": "transformers", "model": str(model), "max_tokens": 64, "image_side": 32, "canaries": 3}
    store = Store(tmp_path / "store")
    summary = run_job(small_spec(tmp_path, judge=judge), store, limit=4)
    assert (summary.progress.canaries, summary.progress.canary_hits) == (3, 0)
    judged = [row for row in store.judgements.read().to_pylist() if not row["canary"]]
    assert judged
    assert all(row["failure"] == "judge_unparsable" and len(row["answers"]) == 2 for row in judged)
