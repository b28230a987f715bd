"""What a real Ray exports of a job's metrics, under the names that the dashboard asks for."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation import metrics
from curation.graph.rows import Row, to_table
from curation.graph.stage import Stage, StageWorker


class Sleepy(Stage):
    """Sleeps a twentieth of a second a row, and cannot stand one of them."""

    name = "sleepy"

    def process(self, rows: list[Row]) -> None:
        if len(rows) > 1 and any(row["subject"] == "bad" for row in rows):
            raise OSError("bad batch")
        time.sleep(0.05 * len(rows))


@pytest.fixture(scope="module")
def ray_metrics() -> Iterator[str]:
    """Start Ray with metrics reported twice a second, and give the address of its metrics port."""
    import ray

    ray.init(
        address="local",
        num_cpus=2,
        num_gpus=2,
        object_store_memory=100 * 1024 * 1024,
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        _system_config={"metrics_report_interval_ms": 500},
    )
    yield f"http://127.0.0.1:{ray.nodes()[0]['MetricsExportPort']}/metrics"
    ray.shutdown()


def exported(address: str, *, wait_for: str) -> dict[str, dict[str, float]]:
    """Return our metrics as Prometheus would scrape them, summed over processes, by name and label value."""
    for _ in range(120):
        with urllib.request.urlopen(address, timeout=10) as answer:
            text = answer.read().decode()
        if wait_for in text:
            break
        time.sleep(0.5)
    found: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    labels = {label for metric in metrics.ALL for label in metric.labels}
    for line in text.splitlines():
        if match := re.match(r"(ray_triptych_\w+)\{(.*)\} (\S+)$", line):
            pairs = dict(re.findall(r'(\w+)="([^"]*)"', match[2]))
            key = ",".join(pairs[name] for name in sorted(labels & pairs.keys()))
            found[match[1]][key] += float(match[3])
    return found


def committed() -> tuple[pa.Table, pa.Table]:
    reasons: list[list[str]] = [[], [], ["style_leak>0.55"], ["stylize_failed:OSError"], ["ingest:truncated"]]
    rows = [{"accepted": not why, "reasons": why, "attempt": 1 if n == 1 else None} for n, why in enumerate(reasons)]
    schema = pa.schema([("accepted", pa.bool_()), ("reasons", pa.list_(pa.string())), ("attempt", pa.int64())])
    judged = pa.table({"tokens_in": [100, 50], "tokens_out": [5, 5], "requests": [1, 2]})
    return pa.Table.from_pylist(rows, schema), judged


def test_a_commit_and_a_stage_show_at_the_metrics_port(ray_metrics: str) -> None:
    import ray

    def run() -> None:
        worker = StageWorker(Sleepy, {}, batch=4, gpus=0.5)
        rows = [{"candidate_id": str(n), "subject": "bad" if n == 9 else "ok", "reasons": []} for n in range(10)]
        for row in rows:
            row.update(skipped=[], errors=[])
        worker(to_table(rows))
        metrics.QUEUE.set(7, stage="sleepy")
        time.sleep(3)

    pending: Any = ray.remote(num_gpus=0.5)(run).remote()
    metrics.count_commit(*committed(), [1000, 500])
    ray.get(pending)
    found = exported(ray_metrics, wait_for="ray_triptych_queue_rows")
    assert found["ray_triptych_candidates_total"] == {"accepted": 2, "rejected": 1, "failed": 1, "skipped": 1}
    assert found["ray_triptych_reasons_total"] == {"style_leak": 1, "stylize_failed": 1, "ingest:truncated": 1}
    assert found["ray_triptych_bytes_total"]["written"] == 1500
    assert found["ray_triptych_commits_total"] == {"": 1}
    assert found["ray_triptych_shards_total"] == {"": 2}
    assert found["ray_triptych_retries_total"] == {"attempt": 1, "row": 4}
    assert found["ray_triptych_stage_rows_total"] == {"sleepy": 10}
    assert found["ray_triptych_stage_seconds_count"] == {"sleepy": 3}
    assert found["ray_triptych_queue_rows"] == {"sleepy": 7}
    busy = found["ray_triptych_stage_busy_seconds_total"]["gpu,sleepy"]
    there = found["ray_triptych_stage_actor_seconds_total"]["gpu,sleepy"]
    assert 0.5 <= busy < there
    assert found["ray_triptych_cost_total"]["gpu_seconds"] == pytest.approx(busy / 2, rel=0.2)
    assert found["ray_triptych_cost_total"]["judge_tokens"] == 160
    assert found["ray_triptych_cost_total"]["requests"] == 3


def test_outside_ray_counting_does_nothing_and_imports_nothing() -> None:
    code = (
        "import sys; from curation import metrics; metrics.COMMITS.add(); metrics.QUEUE.set(1, stage='a');"
        "clock = metrics.WorkerClock('a')\n"
        "with clock.work(3): pass\n"
        "assert 'ray' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@settings(deadline=None)
@given(st.lists(st.text(max_size=80), max_size=300))
def test_reasons_make_few_and_short_labels(reasons: list[str]) -> None:
    labels = {metrics.bounded(reason) for reason in reasons}
    assert len(labels | metrics._seen) <= 101
    assert all(len(label) <= 60 and re.fullmatch(r"[\w.:]+", label, re.ASCII) for label in labels)


@pytest.mark.parametrize(
    ("reason", "label"),
    [
        ("duplicate_of:aa", "duplicate_of"),
        ("judge.realism<2", "judge.realism"),
        ("judge_failed:timeout after 3 s", "judge_failed"),
        ("ingest:truncated", "ingest:truncated"),
    ],
)
def test_labels_leave_out_thresholds_ids_and_messages(reason: str, label: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "_seen", set())
    assert metrics.bounded(reason) == label
