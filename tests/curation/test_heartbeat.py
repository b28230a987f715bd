"""A running job tells its store how it fares; a store that is away for a while costs it nothing."""

from __future__ import annotations

import errno
import os
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation import heartbeat, patience
from curation.graph.flow import Flow, StageFlow
from curation.heartbeat import Beat, Heartbeat, Pace, beats
from curation.patience import patiently
from manifests.files import open_writable

FACTS: dict[str, Any] = {"phase": "curate", "counts": {"committed": 12}, "reasons": {"style_leak": 3}}


def stage(rows: int, *, waiting: int = 0, workers: int = 1, loading: int = 0) -> StageFlow:
    return StageFlow(rows, waiting, workers, loading)


@pytest.fixture(autouse=True)
def graph(monkeypatch: pytest.MonkeyPatch) -> Flow:
    flow = Flow()
    monkeypatch.setattr(heartbeat, "FLOW", flow)
    return flow


def wait_for(files: Any, seconds: float = 20) -> Beat:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for beat in beats(files):
            return beat
        time.sleep(0.02)
    raise AssertionError("no beat came")


def test_whoever_reads_the_store_sees_the_job_while_it_runs_and_no_longer_when_it_has_ended(
    tmp_path: Path, graph: Flow
) -> None:
    files = open_writable(tmp_path)
    graph.note({"score": stage(40, waiting=8, workers=2)})
    with Heartbeat(files, "abc", "small", lambda: FACTS, every=0.05):
        beat = wait_for(files)
        assert (beat.job_id, beat.name, beat.phase) == ("abc", "small", "curate")
        assert beat.counts == {"committed": 12}
        assert beat.stages["score"].waiting == 8
        assert not beat.late(datetime.now(UTC))
        assert beat.late(datetime.now(UTC) + timedelta(minutes=1))
    assert list(beats(files)) == []


def test_signs_of_jobs_long_gone_are_forgotten_by_the_next_job(tmp_path: Path) -> None:
    files = open_writable(tmp_path)
    with Heartbeat(files, "old", "small", lambda: FACTS, every=60):
        old = wait_for(files).model_dump_json()
    files.put("jobs/old.json", old.encode())
    files.put("jobs/broken.json", b"{")
    long_ago = time.time() - 8 * 86400
    os.utime(tmp_path / "jobs" / "old.json", (long_ago, long_ago))
    with Heartbeat(files, "new", "small", lambda: FACTS, every=60):
        end = time.monotonic() + 20
        while [beat.job_id for beat in beats(files)] != ["new"]:
            assert time.monotonic() < end
            time.sleep(0.02)


def test_a_store_that_does_not_take_beats_does_not_harm_the_job() -> None:
    class Away:
        def put(self, *_: object) -> None:
            raise ConnectionError("no answer")

        list = delete = put

    with Heartbeat(Away(), "abc", "small", lambda: FACTS, every=0.01):  # type: ignore[arg-type]
        time.sleep(0.1)


@given(st.lists(st.tuples(st.floats(0.1, 30), st.integers(0, 50)), min_size=1, max_size=30))
def test_the_pace_of_a_stage_lies_between_its_slowest_and_its_fastest_moment(steps: list[tuple[float, int]]) -> None:
    pace, now, rows = Pace(), 0.0, 0
    pace.stages({"score": stage(0)}, now)
    for seconds, more in steps:
        now, rows = now + seconds, rows + more
        beat = pace.stages({"score": stage(rows)}, now)["score"]
        assert beat.rows == rows
        slowest, fastest = (f(more / seconds for seconds, more in steps) for f in (min, max))
        assert slowest - 0.01 <= beat.per_second <= fastest + 0.01 or now > 60


def test_rows_are_counted_through_the_runs_of_the_graph_and_loading_ends_when_every_stage_has_a_worker() -> None:
    flow = Flow()
    assert flow.loading() is None
    flow.note({"load": stage(0), "score": stage(0, workers=0, loading=2)})
    assert flow.loading() == (1, 3)
    flow.note({"load": stage(9), "score": stage(5, workers=1, loading=1)})
    assert flow.loading() is None
    flow.end()
    assert flow.stages()["score"] == StageFlow(5, 0, 0, 0)
    flow.note({"load": stage(1), "score": stage(2)})
    assert [one.rows for one in flow.stages().values()] == [10, 7]


class Failing:
    def __init__(self, times: int, error: OSError) -> None:
        self.calls, self._times, self._error = 0, times, error

    def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self._times:
            raise self._error
        return "done"


def test_a_store_that_comes_back_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_FIRST", 0.01)
    work = Failing(3, ConnectionError("no answer"))
    assert patiently(work, seconds=30, what="packing") == "done"
    assert work.calls == 4


def test_a_store_that_stays_away_or_is_full_ends_the_job(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "_FIRST", 0.01)
    with pytest.raises(ConnectionError):
        patiently(Failing(10**6, ConnectionError("no answer")), seconds=0.2, what="packing")
    full = Failing(1, OSError(errno.ENOSPC, "no room"))
    with pytest.raises(OSError, match="no room"):
        patiently(full, seconds=30, what="packing")
    assert full.calls == 1
