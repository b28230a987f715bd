"""A service over a small store, asked in this process."""

from __future__ import annotations

from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from curation.service.app import create_app
from curation.service.settings import Settings
from curation.service.tokens import Role, add_token
from manifests.store import Store
from tests.manifests.audit.whole_stores import whole_store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return whole_store(tmp_path / "store")


@pytest.fixture
def tokens(store: Store) -> dict[str, str]:
    return {role.name.lower(): add_token(store.files, role.name.lower(), role) for role in Role}


@pytest.fixture
def client(store: Store, tokens: dict[str, str], tmp_path: Path) -> TestClient:
    del tokens
    return TestClient(create_app(Settings(store=str(store.root), cache=tmp_path / "cache")), follow_redirects=False)
