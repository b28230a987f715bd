"""Lineage and descendants: from packages to checkpoints and back, and each is the other reversed."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings

from manifests.audit.graph import KINDS, Graph, Node
from manifests.audit.graph_drawing import dot_of, svg_of, tree_of
from manifests.audit.ledger import AuditError, Ledger
from manifests.audit.lineage import descendants, find_nodes, lineage
from manifests.audit.training_runs import TrainingRun, find_runs
from manifests.store import Store
from tests.manifests.audit.histories import (
    History,
    accepted,
    candidate,
    commit_rows,
    drawn,
    histories,
    image,
    times,
    write_run,
)


def small(folder: Path) -> tuple[Ledger, dict[str, str]]:
    """Return a store of an accepted and a rejected candidate, the content of the accepted drawn from its target."""
    target, style = image("target", 0), image("style", 0)
    content = drawn("content", 0, [target])
    images = {"target": target, "content": content, "style": style}
    good, bad = accepted(candidate("good", images)), candidate("bad", images)
    commit_rows(Store(folder), [good, bad], list(images.values()))
    names = {"good": good["candidate_id"], "bad": bad["candidate_id"]}
    return Ledger(folder), names | {"target": str(target.asset_id)}


def every_node(ledger: Ledger, history: History, runs: list[TrainingRun]) -> list[Node]:
    rows = [row for rows in history.commits for row in rows]
    images = [one for images in history.images.values() for one in images]
    nodes = [Node("candidate", row["candidate_id"]) for row in rows] + [Node("image", one.ref_id) for one in images]
    nodes += [Node("shard", name) for name in ledger.shards]
    nodes += [Node("commit", str(commit.version)) for commit in ledger.commits]
    nodes += [Node("file", f"{one.source}:{one.locator}") for one in images if one.source != "generated"]
    nodes += [Node("file", "folder:style-5.png"), Node("package", "pack-0@1"), Node("package", "pack-1@1")]
    nodes += [Node("run", run.key) for run in runs]
    return nodes + [Node("checkpoint", str(path)) for run in runs for path in run.checkpoints]


@settings(max_examples=8, deadline=None)
@given(histories())
def test_each_is_the_other_reversed(history: History) -> None:
    with TemporaryDirectory() as folder:
        ledger = Ledger(history.write(Path(folder) / "store"), cache=Path(folder) / "cache")
        digest = ledger.commits[0].digest
        found = [write_run(Path(folder) / f"run-{n}", seen) for n, seen in enumerate(history.seen)]
        found.append(write_run(Path(folder) / "old", None, [{"store": "elsewhere", "version": 0, "digest": digest}]))
        runs = [TrainingRun(path) for path in found]
        nodes = every_node(ledger, history, runs)
        forwards = {n: set(descendants(ledger, n, runs=runs, times=times).nodes) for n in nodes}
        backwards = {n: set(lineage(ledger, n, runs=runs, times=times).nodes) for n in nodes}
        for one in nodes:
            assert forwards[one] <= set(nodes)
            assert backwards[one] <= set(nodes)
            for other in nodes:
                assert (other in forwards[one]) == (one in backwards[other]), (str(one), str(other))


@settings(max_examples=3, deadline=None)
@given(histories())
def test_the_index_of_ids_changes_no_answer(history: History) -> None:
    with TemporaryDirectory() as folder:
        root = history.write(Path(folder) / "store")
        whole, indexed = Ledger(root, cache=Path(folder) / "a"), Ledger(root, cache=Path(folder) / "b")
        indexed.index.from_rows = 0
        for node in every_node(whole, history, []):
            for walk in (lineage, descendants):
                assert set(walk(whole, node).edges) == set(walk(indexed, node).edges)


def test_a_candidate_comes_from_files_and_packages(tmp_path: Path) -> None:
    ledger, names = small(tmp_path)
    graph = lineage(ledger, Node("candidate", names["good"]))
    assert {node.key for node in graph.of_kind("file")} == {"folder:target-0.png", "folder:style-0.png"}
    assert {node.key for node in graph.of_kind("package")} == {"pack-0@1"}
    assert len(graph.of_kind("image")) == 3


def test_an_image_goes_on_to_shard_and_commit_and_runs(tmp_path: Path) -> None:
    ledger, names = small(tmp_path / "store")
    run = write_run(tmp_path / "runs" / "stage1", [names["good"]])
    (image_node,) = find_nodes(ledger, names["target"][:10])
    graph = descendants(ledger, image_node, runs=find_runs([tmp_path / "runs"]), times=times)
    assert {node.key for node in graph.of_kind("candidate")} == {names["good"], names["bad"]}
    assert {node.key for node in graph.of_kind("commit")} == {"0"}
    assert len(graph.of_kind("shard")) == 1
    assert {node.key for node in graph.of_kind("run")} == {str(run)}
    assert "checkpoint" in {node.kind for node in graph.nodes}
    assert all(edge.certain for edge in graph.edges)


def test_without_a_list_of_samples_it_is_said_what_is_missing(tmp_path: Path) -> None:
    ledger, names = small(tmp_path / "store")
    data = [{"version": 0, "digest": ledger.commits[0].digest, "where": "style_leak < 0.5"}]
    runs = [TrainingRun(write_run(tmp_path / "old", None, data))]
    graph = descendants(ledger, Node("candidate", names["good"]), runs=runs)
    assert [edge.certain for edge in graph.edges if edge.target.kind == "run"] == [False]
    assert "samples.parquet is missing" in graph.notes[0]
    assert "style_leak < 0.5" in graph.notes[0]
    assert not descendants(ledger, Node("candidate", names["bad"]), runs=runs).of_kind("run")


def test_a_walk_that_is_cut_off_says_so(tmp_path: Path) -> None:
    ledger, names = small(tmp_path)
    graph = lineage(ledger, Node("candidate", names["good"]), limit=3)
    assert len(graph.nodes) == 3
    assert not graph.complete
    assert "cut off" in graph.notes[0]


@pytest.mark.parametrize(
    ("name", "fault"),
    [
        ("abc", "too short"),
        ("zzzz", "nothing of this name"),
        ("shard:x.tar", "no commit"),
        ("commit:9", "versions of"),
    ],
)
def test_what_is_not_there_is_told(tmp_path: Path, name: str, fault: str) -> None:
    ledger, _ = small(tmp_path)
    with pytest.raises(AuditError, match=fault):
        find_nodes(ledger, name)


def test_folders_without_a_run_are_told(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no training run"):
        find_runs([tmp_path])


def _graph(tmp_path: Path) -> Graph:
    ledger, names = small(tmp_path)
    return lineage(ledger, Node("candidate", names["good"]))


def test_drawings_have_every_node_and_edge(tmp_path: Path) -> None:
    import xml.etree.ElementTree as Xml

    graph = _graph(tmp_path)
    drawn_graph = Xml.fromstring(svg_of(graph))
    space = "{http://www.w3.org/2000/svg}"
    assert len(drawn_graph.findall(f"{space}g")) == len(graph.nodes)
    assert len(drawn_graph.findall(f"{space}path")) == len(graph.edges)
    dot = dot_of(graph)
    assert dot.count("->") == len(graph.edges)
    assert all(str(node) in dot for node in graph.nodes)


def test_no_line_runs_backwards_in_a_drawing(tmp_path: Path) -> None:
    graph = _graph(tmp_path)
    assert all(KINDS.index(edge.source.kind) < KINDS.index(edge.target.kind) for edge in graph.edges)


def test_a_tree_unfolds_each_thing_once(tmp_path: Path) -> None:
    text = tree_of(_graph(tmp_path), forwards=False)
    assert text.splitlines()[0].startswith("candidate ")
    assert text.count("carries: package pack-0@1") == 2
