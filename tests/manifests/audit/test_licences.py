"""Licences of a store: shares, obligations, who stated them when, attribution, and what a policy refuses."""

from __future__ import annotations

from pathlib import Path

import pytest

from manifests.audit.attribution import attribution
from manifests.audit.ledger import Ledger
from manifests.audit.licences import licences
from manifests.licence_policy import LicencePolicy
from manifests.store import Store
from tests.manifests.audit.histories import accepted, candidate, commit_rows, image

TARGET = image("target", 0, licence="CC-BY-4.0", author="B. Artist", treatment="pencil")
CONTENT = image("content", 0, licence="CC0-1.0", author="Nobody")
SHARED = image("style", 0, licence="CC-BY-SA-4.0", author="C. Sharer", attribution_url="https://example.org/c")
UNKNOWN = image("style", 1, licence=None, author=None, package=None)
UNUSED = image("style", 2, licence="GPL-3.0-only")


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Ledger:
    """Three accepted triplets, one of them with an image of unknown licence, and a rejected one."""
    store = Store(tmp_path_factory.mktemp("store"))
    shared = {"target": TARGET, "content": CONTENT, "style": SHARED}
    unknown = {**shared, "style": UNKNOWN}
    listed = ["CC-BY-4.0", "CC-BY-SA-4.0", "CC0-1.0"]
    rows = [accepted(candidate(name, shared, licences=listed)) for name in "ab"]
    rows.append(accepted(candidate("c", unknown, licences=["CC-BY-4.0", "CC0-1.0", "unknown"])))
    rows.append(candidate("d", {**shared, "style": UNUSED}, licences=["GPL-3.0-only"]))
    commit_rows(store, rows, [TARGET, CONTENT, SHARED, UNKNOWN, UNUSED])
    return Ledger(store.root)


def test_shares_and_obligations(ledger: Ledger) -> None:
    found = licences(ledger)
    shares = {share.licence: share for share in found.shares}
    assert found.accepted == 3
    assert found.images == 4
    assert shares["CC-BY-SA-4.0"].share == pytest.approx(2 / 3, abs=1e-5)
    assert shares["CC-BY-SA-4.0"].share_alike
    assert not shares["CC0-1.0"].attribution
    assert "GPL-3.0-only" not in shares


def test_who_stated_a_licence_and_when(ledger: Ledger) -> None:
    stated = {one.licence: one for one in licences(ledger).statements}
    assert stated["CC-BY-SA-4.0"].author == "C. Sharer"
    assert stated["CC-BY-SA-4.0"].package == "pack-0@1"
    assert stated["CC-BY-SA-4.0"].first_recorded <= stated["CC-BY-SA-4.0"].last_recorded
    assert stated["unknown"].source == "folder"


def test_an_unknown_licence_is_found(ledger: Ledger) -> None:
    found = licences(ledger)
    assert (found.main, found.refused) == (2, 1)
    assert found.findings == ["the licence of an image is unknown: 1 accepted triplets"]


def test_a_policy_sorts_the_triplets(ledger: Ledger) -> None:
    policy = LicencePolicy.model_validate({"share-alike": "separate", "unknown": "allow", "deny": ["GPL-3.0-only"]})
    found = licences(ledger, policy)
    assert (found.main, found.separate, found.refused) == (1, 2, 0)
    assert found.findings == []


def test_attribution_names_title_author_source_and_licence(ledger: Ledger) -> None:
    text = "".join(attribution(ledger))
    assert "## Creative Commons Attribution 4.0\n\n<https://creativecommons.org/licenses/by/4.0/>" in text
    assert "B. Artist, pack-0@1, https://example.org/painter:\n- target-0.png (changed: treatment pencil)" in text
    assert "C. Sharer, pack-0@1, https://example.org/c:\n- style-0.png" in text
    assert "Author not stated, folder" in text
    assert "Nobody" not in text
    assert "style-2.png" not in text


def test_a_work_under_two_licences_is_found(tmp_path: Path) -> None:
    images = {"target": TARGET, "content": CONTENT, "style": SHARED}
    changed = image("style", 0, ref_id="0" * 32, licence="MIT", package="pack-0@2")
    rows = [accepted(candidate("a", images, licences=["CC-BY-SA-4.0"]))]
    commit_rows(Store(tmp_path), rows, [*images.values(), changed])
    found = licences(Ledger(tmp_path))
    assert found.conflicts[0]["licences"] == ["CC-BY-SA-4.0", "MIT"]
    assert "folder:style-0.png (pack-0@1, pack-0@2) was recorded under CC-BY-SA-4.0, MIT" in found.findings
