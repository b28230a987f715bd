"""Triplets page by page, pictures and shards by part, and nothing of the store that is not the data set."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from manifests.store import Store
from tests.manifests.audit.whole_stores import row_of


@pytest.fixture
def viewer(client: TestClient, tokens: dict[str, str]) -> TestClient:
    client.headers["Authorization"] = f"Bearer {tokens['admin']}"
    return client


def everything(viewer: TestClient, query: str) -> list[dict[str, Any]]:
    rows, after = [], ""
    while True:
        page = viewer.get(f"/v1/triplets?limit=4&{query}{after}").json()
        rows += page["triplets"]
        if page["after"] is None:
            return rows
        after = f"&after={page['after']}"


@pytest.mark.parametrize("order", ["candidate_id", "style_similarity", "style_leak"])
@pytest.mark.parametrize("descending", ["true", "false"])
def test_pages_make_up_the_whole_in_order(viewer: TestClient, order: str, descending: str) -> None:
    rows = everything(viewer, f"order={order}&descending={descending}")
    ids = [row["candidate_id"] for row in rows]
    assert len(ids) == len(set(ids)) == 18
    values = [row[order] for row in rows if row[order] is not None]
    assert values == sorted(values, reverse=descending == "true")
    assert all(row[order] is None for row in rows[len(values) :])


def test_filters_say_what_they_mean(viewer: TestClient) -> None:
    assert len(everything(viewer, "accepted=true")) == 12
    assert len(everything(viewer, "accepted=false")) == 6
    assert {row["style_similarity"] <= 0.255 for row in everything(viewer, "max.style_similarity=0.255")} == {True}
    assert len(everything(viewer, "licence=MIT")) == 18
    assert everything(viewer, "subject=nobody") == []


@pytest.mark.parametrize(
    "query",
    [
        "order=prompt",
        "order=1;drop",
        "min.prompt=1",
        "min.style_leak=x",
        "min.style_leak=nan",
        "accepted=yes",
        "after=x",
    ],
)
def test_what_cannot_be_asked_is_said(viewer: TestClient, query: str) -> None:
    answer = viewer.get(f"/v1/triplets?{query}")
    assert answer.status_code == 422
    assert answer.json()["detail"]


def test_pictures_are_those_that_were_committed_and_are_kept_by_browsers(viewer: TestClient) -> None:
    row = next(row for row in everything(viewer, "accepted=true"))
    for role in ("target", "content", "style"):
        got = viewer.get(f"/v1/triplets/{row['candidate_id']}/images/{role}")
        assert hashlib.sha256(got.content).hexdigest() == row[f"{role}_id"]
        again = viewer.get(got.request.url, headers={"If-None-Match": got.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(first=st.integers(0, 9000), size=st.integers(1, 9000))
def test_parts_of_a_shard_are_its_bytes(viewer: TestClient, store: Store, first: int, size: int) -> None:
    shard = store.committed_shards()[0]
    whole = store.files.read(f"shards/{shard['name']}")
    got = viewer.get(f"/v1/files/shards/{shard['name']}", headers={"Range": f"bytes={first}-{first + size - 1}"})
    if first >= len(whole):
        assert got.status_code == 416
    else:
        assert got.status_code == 206 if (first, size) < (0, len(whole)) or first else 200
        assert got.content == whole[first : first + size]


@pytest.mark.parametrize(
    "name",
    [
        "service/tokens.json",
        "../store/service/tokens.json",
        "shards/../service/tokens.json",
        "access.json",
        "jobs/x.json",
        "cache/answers/x",
        "%2e%2e/etc/passwd",
        "tables/jobs/_delta_log/00000000000000000000.json",
        "/etc/passwd",
    ],
)
def test_nothing_but_the_data_set_is_given_out(viewer: TestClient, name: str) -> None:
    assert viewer.get(f"/v1/files/{name}").status_code == 404
    assert all("tokens" not in one["name"] and "access" not in one["name"] for one in viewer.get("/v1/files").json())


def test_sql_reads_and_does_nothing_else(viewer: TestClient) -> None:
    good = viewer.post("/v1/audit/query", json={"sql": "SELECT count(*) AS n FROM triplets"})
    assert good.json()["rows"] == [{"n": 18}]
    for sql in (
        "DROP TABLE triplets",
        "SELECT * FROM read_text('/etc/passwd')",
        "COPY triplets TO '/tmp/x'",
        "SELEC 1",
    ):
        bad = viewer.post("/v1/audit/query", json={"sql": sql})
        assert bad.status_code == 422
        assert bad.json()["detail"]


def test_what_the_data_says_is_text_on_pages(client: TestClient, tokens: dict[str, str], store: Store) -> None:
    del store
    client.post("/login", data={"token": tokens["viewer"]})
    page = client.get("/?subject=<script>alert(1)</script>").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;" in page
    story = client.get(f"/triplets/{row_of(0)['candidate_id']}")
    assert story.status_code == 200
    assert "script-src 'self'" in story.headers["content-security-policy"]


def test_large_bodies_and_many_requests_are_refused(client: TestClient, tokens: dict[str, str]) -> None:
    auditor = {"Authorization": f"Bearer {tokens['auditor']}"}
    assert client.post("/v1/audit/query", content=b"x" * 1_100_000, headers=auditor).status_code == 413
    client.app.state.guard._settings = type(client.app.state.settings)(store="x", requests_a_minute=3)  # type: ignore[attr-defined]
    statuses = [client.get("/v1/jobs", headers=auditor).status_code for _ in range(5)]
    assert statuses[-1] == 429


def test_a_page_of_pictures_does_not_use_up_what_a_caller_may_ask(client: TestClient, tokens: dict[str, str]) -> None:
    viewer = {"Authorization": f"Bearer {tokens['viewer']}"}
    client.app.state.guard._settings = type(client.app.state.settings)(store="x", requests_a_minute=3)  # type: ignore[attr-defined]
    address = f"/v1/triplets/{row_of(0)['candidate_id']}/images/target"
    assert {client.get(address, headers=viewer).status_code for _ in range(10)} == {200}
