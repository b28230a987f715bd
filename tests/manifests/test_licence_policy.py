"""Licence policies: what passes, what goes apart, what is refused and why, and faults in the file."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.licence_policy import LicencePolicy, LicencePolicyError, gate, read_licence_policy

SEPARATE = LicencePolicy.model_validate({"allow": ["MIT", "CC-BY-SA-4.0"], "share-alike": "separate"})


@pytest.mark.parametrize(
    ("licences", "part", "reason"),
    [
        (["MIT"], "main", None),
        (["MIT", "CC-BY-SA-4.0"], "share-alike", None),
        (["MIT AND CC-BY-SA-4.0"], "share-alike", None),
        (["Apache-2.0"], None, "Apache-2.0 is not among the allowed"),
        (["MIT AND Apache-2.0"], None, "Apache-2.0 is not among the allowed"),
        (["MIT OR Apache-2.0"], "main", None),
        (["MIT OR CC-BY-SA-4.0"], "main", None),
        (["unknown"], None, "the licence of an image is unknown"),
        ([], None, "no licence is stated"),
    ],
)
def test_licences_are_sorted(licences: list[str], part: str | None, reason: str | None) -> None:
    verdict = SEPARATE.verdict(licences)
    assert verdict.part == part
    assert verdict.reasons == ((reason,) if reason else ())


def test_rows_are_gated_with_their_reasons() -> None:
    rows = [{"id": 1, "licences": ["MIT"]}, {"id": 2, "licences": ["CC-BY-SA-4.0"]}, {"id": 3, "licences": ["GPL"]}]
    gated = gate(rows, SEPARATE)
    assert [row["id"] for row in gated.main] == [1]
    assert [row["id"] for row in gated.share_alike] == [2]
    assert [(row["id"], reasons) for row, reasons in gated.refused] == [(3, ("GPL is not among the allowed",))]


LICENCES = st.lists(st.sampled_from(["MIT", "Apache-2.0", "CC-BY-SA-4.0", "CC-BY-4.0", "unknown"]), max_size=3)


@given(st.lists(LICENCES, max_size=8), st.sets(st.sampled_from(["MIT", "CC-BY-4.0"])), st.booleans())
def test_no_row_is_lost_and_nothing_denied_passes(rows: list[list[str]], deny: set[str], share: bool) -> None:
    policy = LicencePolicy.model_validate({"deny": sorted(deny), "share-alike": "deny" if share else "separate"})
    gated = gate([{"licences": licences} for licences in rows], policy)
    assert len(gated.main) + len(gated.share_alike) + len(gated.refused) == len(rows)
    for row in [*gated.main, *gated.share_alike]:
        assert row["licences"]
        assert not set(row["licences"]) & (deny | {"unknown"})
        assert not share or "CC-BY-SA-4.0" not in row["licences"]
    assert all("CC-BY-SA-4.0" not in row["licences"] for row in gated.main)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("allow: [MIT]\ndeny: [MIT]", "both allowed and denied"),
        ("share-alike: apart", "share-alike"),
        ("alow: [MIT]", "alow"),
        ("- MIT", "keys are needed"),
        ("allow: [", "is no YAML"),
    ],
)
def test_a_faulty_file_is_told(tmp_path: Path, text: str, fault: str) -> None:
    path = tmp_path / "licences.yaml"
    path.write_text(text)
    with pytest.raises(LicencePolicyError, match=fault):
        read_licence_policy(path)
    with pytest.raises(LicencePolicyError, match="cannot be read"):
        read_licence_policy(tmp_path / "nowhere.yaml")


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "licences.yaml"
    path.write_text("allow: [MIT, CC-BY-SA-4.0]\nshare-alike: separate\n")
    assert read_licence_policy(path) == SEPARATE
