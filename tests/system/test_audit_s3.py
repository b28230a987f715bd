"""Audits of a store on S3: the same answers as of the folder it was copied from, against a real server."""

from __future__ import annotations

from pathlib import Path

import pytest

from manifests.audit.diff import report
from manifests.audit.explain import CandidateStory, explain
from manifests.audit.explain_page import page_of
from manifests.audit.ledger import AuditError, Ledger
from manifests.audit.licences import licences
from manifests.audit.lineage import find_nodes, lineage
from manifests.audit.query import query
from manifests.store import Store
from tests.manifests.audit.histories import accepted, candidate, commit_rows, image
from tests.system.seaweed import SECRET, Seaweed

ROOT = "s3://data/sets/animals"
IMAGES = {role: image(role, 0) for role in ("target", "content", "style")}
ROWS = [accepted(candidate("a", IMAGES)), candidate("b", IMAGES)]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("animals") / "store"
    for row in ROWS:
        commit_rows(Store(made), [row], list(IMAGES.values()))
    return made


@pytest.fixture(scope="module")
def uploaded(seaweed: Seaweed, folder: Path) -> Seaweed:
    seaweed.upload(folder, "data", "sets/animals")
    return seaweed


@pytest.fixture
def remote(uploaded: Seaweed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Ledger:
    """The store on the server, in an environment that reaches it."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in uploaded.environment().items():
        monkeypatch.setenv(name, value)
    return Ledger(ROOT, cache=tmp_path)


def test_a_story_is_that_of_the_folder(remote: Ledger, folder: Path) -> None:
    for row in ROWS:
        ours, theirs = (explain(ledger, row["candidate_id"][:9]) for ledger in (remote, Ledger(folder)))
        assert isinstance(ours, CandidateStory)
        assert isinstance(theirs, CandidateStory)
        assert {**vars(ours), "root": ""} == {**vars(theirs), "root": ""}
    page = page_of(remote, explain(remote, ROWS[0]["candidate_id"]))
    assert page.count("<img ") == 3


def test_the_graph_is_that_of_the_folder(remote: Ledger, folder: Path) -> None:
    remote.index.from_rows = 0
    name = str(ROWS[0]["candidate_id"])
    graphs = [lineage(ledger, *find_nodes(ledger, name)) for ledger in (remote, Ledger(folder))]
    assert set(graphs[0].edges) == set(graphs[1].edges)


def test_figures_are_those_of_the_folder(remote: Ledger, folder: Path) -> None:
    assert licences(remote).shares == licences(Ledger(folder)).shares
    assert report(Ledger(ROOT, 0, cache=remote.cache), remote).came == 1


def test_a_query_reads_the_tables_and_no_other_object(remote: Ledger) -> None:
    assert query(remote, "select count(*) as n from triplets").rows == [{"n": 2}]
    with pytest.raises(AuditError):
        query(remote, "select * from read_text('triptych://tables/triplets/_delta_log/00000000000000000000.json')")
    with pytest.raises(AuditError):
        query(remote, "select * from read_text('/etc/passwd')")


def test_no_secret_is_told(seaweed: Seaweed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", f"{SECRET}x")
    with pytest.raises(AuditError) as caught:
        Ledger(ROOT, cache=tmp_path)
    assert SECRET not in str(caught.value)
