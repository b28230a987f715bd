"""The dashboard: what it asks for is what jobs and Ray export."""

from __future__ import annotations

import json
import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import promql_parser
import pytest

from curation import metrics
from tests.docker.paths import DOCKER

DASHBOARD: dict[str, Any] = json.loads((DOCKER / "grafana/dashboards/triptych.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
QUERIES = [(panel["title"], target["expr"]) for panel in PANELS for target in panel["targets"]]
EVERYWHERE = {"SessionName", "NodeAddress", "WorkerId", "ip", "RayNodeType"}


def selectors(query: str) -> list[promql_parser.VectorSelector]:
    """Return what a query selects, by PromQL's own grammar; Grafana's intervals stand for one minute."""
    found: list[promql_parser.VectorSelector] = []

    def visit(node: promql_parser.Expr) -> None:
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)
        elif isinstance(node, promql_parser.MatrixSelector):
            found.append(node.vector_selector)

    promql_parser.walk(promql_parser.parse(re.sub(r"\$__(?:rate_interval|range)", "1m", query)), visit)
    return list({id(each): each for each in found}.values())


def ours() -> dict[str, set[str]]:
    """Return the series that a job exports, with their labels."""
    series: dict[str, set[str]] = {}
    for metric in metrics.ALL:
        labels = set(metric.labels) | EVERYWHERE
        if metric.kind == "histogram":
            series[f"ray_{metric.name}_bucket"] = labels | {"le"}
        else:
            series[f"ray_{metric.name}"] = labels
    return series


def rays() -> set[str]:
    """Return the metrics that Ray's own dashboards ask for, and those that its nodes are known to export."""
    spec = find_spec("ray")
    assert spec
    assert spec.origin
    folder = Path(spec.origin).parent / "dashboard/modules/metrics/dashboards"
    named = set(re.findall(r"\bray_\w+", "".join(path.read_text() for path in folder.glob("*_panels.py"))))
    return named | {
        "ray_cluster_active_nodes",
        "ray_object_store_used_memory",
        "ray_object_store_available_memory",
        "ray_node_mem_used",
        "ray_node_mem_total",
    }


@pytest.mark.parametrize(("title", "query"), QUERIES)
def test_every_query_asks_for_metrics_and_labels_that_are_exported(title: str, query: str) -> None:
    job, ray = ours(), rays()
    chosen = selectors(query)
    assert chosen, title
    for selector in chosen:
        assert selector.name in job or selector.name in ray, title
        if selector.name in job:
            assert {matcher.name for matcher in selector.matchers.matchers} <= job[selector.name], title
    grouped = {label.strip() for labels in re.findall(r"by \(([^)]*)\)", query) for label in labels.split(",")}
    asked = [job[selector.name] for selector in chosen if selector.name in job]
    assert all(grouped <= labels for labels in asked), title


def test_every_metric_of_a_job_is_on_the_dashboard() -> None:
    asked = {selector.name for _, query in QUERIES for selector in selectors(query)}
    assert set(ours()) <= asked


def test_counters_are_read_as_rates_or_last_values_and_legends_name_labels_that_are_there() -> None:
    counters = {f"ray_{metric.name}" for metric in metrics.ALL if metric.kind == "counter"}
    for panel in PANELS:
        for target in panel["targets"]:
            bare = re.sub(r"(?:rate|max_over_time)\([^()]*\)", "", target["expr"])
            assert not [name for name in counters if name in bare], panel["title"]
            for label in re.findall(r"{{(\w+)}}", target["legendFormat"]):
                assert re.search(rf"by \([^)]*\b{label}\b", target["expr"]), panel["title"]


def test_panels_fill_rows_without_overlap_and_share_one_source() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken, panel["title"]
        taken |= cells
    assert {x for x, _ in taken} == set(range(24))
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])
    sources = [target["datasource"]["uid"] for panel in PANELS for target in panel["targets"]]
    source = (DOCKER / "grafana/provisioning/datasources/prometheus.yaml").read_text()
    assert {f"uid: {uid}" in source for uid in sources} == {True}
