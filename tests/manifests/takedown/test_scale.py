"""A takedown from ten thousand triplets over several versions: nothing of the image is left, and all else verifies."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from manifests.identities import asset_id
from manifests.store import Store
from manifests.takedown.run import take_down
from manifests.takedown.wanted import Wanted
from manifests.upkeep.compact import compact
from manifests.verify import verify
from tests.manifests.audit import whole_stores
from tests.manifests.audit.whole_stores import commit, picture
from tests.manifests.takedown.test_takedown import needles, samples, target
from tests.manifests.takedown.traces import traces

COMMITS, EACH = 6, 2500
DRAWN_FROM, STYLE = 3000, 1
"""A target from which a content reference was drawn, and a style reference that a sixth of all triplets share."""


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_ten_thousand_triplets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whole_stores, "PER_COMMIT", EACH)
    store = Store(tmp_path / "store")
    for number in range(COMMITS):
        commit(store, number)
        if number == 2:
            compact(store, target=10**9)
    before = samples(store)
    assert len(before) == COMMITS * EACH * 2 // 3
    start = time.perf_counter()
    (receipt,) = take_down(store, Wanted(assets=[target(DRAWN_FROM)]))
    print(f"one image with what was drawn from it: {time.perf_counter() - start:.1f} s")
    assert (receipt.images, receipt.candidates) == (2, 1)
    assert traces(tmp_path / "store", needles(DRAWN_FROM)) == []
    assert len(samples(store)) == len(before) - 1
    assert verify(Store(store.root)).faults == []
    style = picture("style", STYLE)
    start = time.perf_counter()
    (receipt,) = take_down(store, Wanted(assets=[asset_id(style)]))
    print(f"a style reference of {receipt.candidates:,} candidates: {time.perf_counter() - start:.1f} s")
    assert receipt.candidates == pytest.approx(COMMITS * EACH / 4, abs=1)
    assert traces(tmp_path / "store", [style, asset_id(style).encode()]) == []
    left = samples(store)
    assert left == {key: before[key] for key in left}
    assert len(left) == len(before) - receipt.accepted - 1
    assert verify(Store(store.root)).faults == []
