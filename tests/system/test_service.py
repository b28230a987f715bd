"""`triptych serve` as a process: closed to strangers, back as it was when it was killed; two in front of one store."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from manifests.store import Store
from tests.manifests.audit.whole_stores import commit, whole_store
from tests.system.seaweed import free_ports
from tests.system.test_cli import ROOT, triptych


@contextmanager
def served(store: Path) -> Iterator[str]:
    """Serve a store on a free port until the block ends, and yield its address."""
    (port,) = free_ports(1)
    command = [sys.executable, "-m", "curation.cli", "serve", "--store", str(store), "--port", str(port)]
    process = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    try:
        address, end = f"http://127.0.0.1:{port}", time.monotonic() + 60
        while True:
            try:
                assert httpx.get(f"{address}/readyz").status_code == 200
                break
            except httpx.TransportError:
                assert process.poll() is None, process.communicate()[1]
                assert time.monotonic() < end
                time.sleep(0.2)
        yield address
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return whole_store(tmp_path / "store")


def test_it_comes_back_as_it_was_and_two_of_them_agree(store: Store) -> None:
    made = triptych("serve", "token", "add", "ana", "--role", "auditor", "--store", store.root)
    assert made.returncode == 0, made.stderr
    headers = {"Authorization": f"Bearer {made.stdout.strip()}"}
    with served(Path(store.root)) as address:
        assert httpx.get(f"{address}/v1/triplets").status_code == 401
        before = httpx.get(f"{address}/v1/datasets", headers=headers).json()
    with served(Path(store.root)) as one, served(Path(store.root)) as other:
        assert httpx.get(f"{one}/v1/datasets", headers=headers).json() == before
        commit(store, 3)
        after = [httpx.get(f"{address}/v1/datasets", headers=headers).json() for address in (one, other)]
        assert after[0] == after[1]
        assert after[0]["candidates"] == before["candidates"] + 6
        assert made.stdout.strip() not in "".join(
            path.read_text(errors="replace") for path in Path(store.root).rglob("*.json")
        )
    assert "ana  auditor" in triptych("serve", "token", "list", "--store", store.root).stdout
    assert triptych("serve", "token", "revoke", "ana", "--store", store.root).returncode == 0
    assert triptych("serve", "token", "revoke", "ana", "--store", store.root).returncode == 2


def test_it_does_not_open_to_other_machines_without_tokens(store: Store) -> None:
    refused = triptych("serve", "--store", store.root, "--host", "0.0.0.0", "--port", "0")
    assert refused.returncode == 2
    assert "triptych serve token add" in refused.stderr
    assert triptych("serve").returncode == 2
    assert triptych("serve", "token", "add", "x", "--role", "king", "--store", store.root).returncode == 2
