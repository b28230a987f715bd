"""A takedown on a real S3 server leaves what it leaves on disk, also where its process is ended on the way."""

from __future__ import annotations

from pathlib import Path

import pytest

from manifests.identities import asset_id
from manifests.store import Store
from manifests.takedown.run import take_down
from manifests.takedown.wanted import Wanted
from manifests.upkeep.compact import compact
from manifests.verify import verify
from tests.manifests.audit.whole_stores import asset, picture, whole_store
from tests.manifests.takedown.traces import traces
from tests.system.seaweed import Seaweed
from tests.system.store_workers import dies, dying

ROOT = "s3://data/sets/whole"
GONE = 12
WANTED = Wanted(assets=[str(asset("target", GONE).asset_id)])


def ended(root: str, after: int) -> None:
    take_down(dying(root, after), WANTED)


def test_a_takedown_on_s3(seaweed: Seaweed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    for name, value in seaweed.environment().items():
        monkeypatch.setenv(name, value)
    local = whole_store(tmp_path / "whole", 3)
    compact(local, target=10**9)
    seaweed.upload(Path(local.root), "data", "sets/whole")
    assert verify(Store(ROOT)).faults == []
    for after in (1, 4, 9, 14):
        assert dies(ended, ROOT, after)
    assert [one.kind.value for one in verify(Store(ROOT)).findings] == ["takedown_unfinished"]
    (receipt,) = take_down(Store(ROOT), WANTED)
    assert receipt.candidates == 1
    assert verify(Store(ROOT)).faults == []
    copy = tmp_path / "copy"
    store = Store(ROOT)
    for found in store.files.list():
        path = copy / found.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(store.files.read(found.name))
    data = [picture("target", GONE), picture("content", GONE)]
    assert traces(copy, [form for one in data for form in (one, asset_id(one).encode())]) == []
    assert verify(Store(copy)).faults == []
