"""Every route, for every role and for nobody: what it takes, and what is said to those who do not have it."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi.testclient import TestClient

from curation.service.tokens import Role
from tests.manifests.audit.whole_stores import row_of

ONE = row_of(0)["candidate_id"]
ROUTES: list[tuple[str, str, Role | None]] = [
    ("GET", "/healthz", None),
    ("GET", "/readyz", None),
    ("GET", "/metrics", None),
    ("GET", "/v1/openapi.json", None),
    ("GET", "/v1/datasets", Role.VIEWER),
    ("GET", "/v1/versions", Role.VIEWER),
    ("GET", "/v1/triplets", Role.VIEWER),
    ("GET", f"/v1/triplets/{ONE}", Role.VIEWER),
    ("GET", f"/v1/triplets/{ONE}/images/target", Role.VIEWER),
    ("GET", f"/v1/triplets/{ONE}/strip", Role.VIEWER),
    ("GET", "/v1/shards", Role.VIEWER),
    ("GET", "/v1/files", Role.VIEWER),
    ("GET", "/v1/files/index.json", Role.VIEWER),
    ("GET", "/v1/jobs", Role.VIEWER),
    ("GET", "/v1/jobs/status", Role.VIEWER),
    ("GET", "/v1/jobs/job0", Role.VIEWER),
    ("GET", f"/v1/audit/explain/{ONE}", Role.AUDITOR),
    ("POST", "/v1/audit/query", Role.AUDITOR),
    ("POST", "/v1/audit/verify", Role.AUDITOR),
]


def asked(client: TestClient, method: str, path: str, token: str | None) -> Any:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    body = {"json": {"sql": "SELECT 1 AS one"}} if path.endswith("query") else {}
    return client.request(method, path, headers=headers, **body)


@pytest.mark.parametrize(("method", "path", "needed"), ROUTES)
def test_each_role_may_do_what_is_its_own(
    client: TestClient, tokens: dict[str, str], method: str, path: str, needed: Role | None
) -> None:
    assert asked(client, method, path, None).status_code == (200 if needed is None else 401)
    assert asked(client, method, path, "trp_wrong").status_code == (200 if needed is None else 401)
    for role in Role:
        status = asked(client, method, path, tokens[role.name.lower()]).status_code
        assert status in ((200, 202) if needed is None or role >= needed else (403,)), (role, status)


def test_no_route_was_forgotten(client: TestClient) -> None:
    known = {(method, path) for method, path, _ in ROUTES}
    listed = client.get("/v1/openapi.json").json()["paths"]
    for path, methods in listed.items():
        for method in methods:
            filled = path.replace("{candidate}", ONE).replace("{one}", ONE).replace("{role}", "target")
            filled = filled.replace("{name}", "index.json").replace("{job}", "job0")
            assert (method.upper(), filled) in known or filled == "/v1/audit/verify", (method, path)


@pytest.mark.parametrize("page", ["/", "/jobs", f"/triplets/{ONE}", "/triplets", "/jobs/now"])
def test_pages_ask_for_a_token_first(client: TestClient, tokens: dict[str, str], page: str) -> None:
    asked = client.get(page)
    assert asked.status_code == 303
    assert asked.headers["location"].startswith("/login?next=")
    assert client.post("/login", data={"token": "wrong"}).status_code == 401
    entered = client.post("/login", data={"token": tokens["viewer"], "next": page})
    assert (entered.status_code, entered.headers["location"]) == (303, page)
    assert "httponly" in entered.headers["set-cookie"].lower()
    assert client.get(page).status_code == 200


@pytest.mark.parametrize("elsewhere", ["https://evil.example", "//evil.example", "/\\evil.example"])
def test_entering_leads_nowhere_else(client: TestClient, tokens: dict[str, str], elsewhere: str) -> None:
    entered = client.post("/login", data={"token": tokens["viewer"], "next": elsewhere})
    assert entered.headers["location"] == "/"


def test_a_form_of_another_site_is_refused(client: TestClient, tokens: dict[str, str]) -> None:
    client.post("/login", data={"token": tokens["auditor"]})
    question = {"sql": "SELECT 1 AS one"}
    assert client.post("/v1/audit/query", json=question).status_code == 403
    word = client.cookies["triptych_csrf"]
    assert client.post("/v1/audit/query", json=question, headers={"X-CSRF": word}).status_code == 200
