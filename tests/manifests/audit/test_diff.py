"""Differences of versions: what came, went and changed, why, and that differences add up."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from deltalake import DeltaTable
from hypothesis import given, settings
from hypothesis import strategies as st

from manifests.audit.diff import causes, diff, report
from manifests.audit.ledger import AuditError, Ledger
from manifests.store import Store
from tests.manifests.audit.histories import History, accepted, candidate, commit_rows, histories, image

IMAGES = {role: image(role, 0) for role in ("target", "content", "style")}


def table_of(folder: Path) -> DeltaTable:
    return DeltaTable(str(folder / "tables" / "triplets"))


def rewrite(folder: Path, kind: str, share: int) -> None:
    """Change the table as a later decision, a deletion or a compaction would."""
    table = table_of(folder)
    if kind == "decide":
        table.update(
            predicate=f"style_leak > {share / 10}",
            updates={"accepted": "false", "policy_digest": "'other'", "reasons": "make_array('style_leak>0.1')"},
        )
    elif kind == "delete":
        table.delete(f"style_leak > {share / 10}")
    else:
        table.optimize.compact()


@settings(max_examples=8, deadline=None)
@given(
    histories(), st.lists(st.tuples(st.sampled_from(["decide", "delete", "compact"]), st.integers(1, 7)), max_size=3)
)
def test_differences_add_up(history: History, changes: list[tuple[str, int]]) -> None:
    with TemporaryDirectory() as folder:
        root = history.write(Path(folder) / "store")
        for kind, share in changes:
            rewrite(root, kind, share)
        newest = Ledger(root, cache=Path(folder) / "cache").version
        at = {version: Ledger(root, version, cache=Path(folder) / "cache") for version in range(newest + 1)}
        for first, second, third in {(0, newest // 2, newest), (newest, 0, newest // 2)}:
            joined = diff(at[first], at[second]).then(diff(at[second], at[third]))
            assert joined == diff(at[first], at[third])
        assert diff(at[0], at[newest]).then(diff(at[newest], at[0])).changes == {}


@settings(max_examples=8, deadline=None)
@given(
    histories(), st.lists(st.tuples(st.sampled_from(["decide", "delete", "compact"]), st.integers(1, 7)), max_size=2)
)
def test_the_figures_of_a_report_are_those_of_the_difference(history: History, changes: list[tuple[str, int]]) -> None:
    with TemporaryDirectory() as folder:
        root = history.write(Path(folder) / "store")
        for kind, share in changes:
            rewrite(root, kind, share)
        first, second = (Ledger(root, at, cache=Path(folder) / "cache") for at in (0, None))
        found, told = diff(first, second), report(first, second)
        assert (told.came, told.went, told.changed) == tuple(len(found.of(one)) for one in ("came", "went", "changed"))
        assert told.candidates[1] - told.candidates[0] == told.came - told.went


def test_a_later_decision_is_told_with_its_cause(tmp_path: Path) -> None:
    commit_rows(Store(tmp_path), [accepted(candidate("a", IMAGES)), candidate("b", IMAGES)], list(IMAGES.values()))
    rewrite(tmp_path, "decide", 1)
    told = report(Ledger(tmp_path, 0), Ledger(tmp_path))
    assert (told.changed, told.newly_rejected, told.came, told.went) == (2, 1, 0, 0)
    assert told.why["policy"] == 2
    assert told.why["decision"] == 1
    assert told.shown[0]["before"] == "accepted"
    assert told.shown[0]["after"] == "rejected: style_leak>0.1"
    assert told.reasons["style_leak>0.1"] == (0, 2)


def test_a_changed_score_is_told_with_both_values(tmp_path: Path) -> None:
    commit_rows(Store(tmp_path), [accepted(candidate("a", IMAGES))], list(IMAGES.values()))
    table_of(tmp_path).update(updates={"style_leak": "0.9"})
    first, second = Ledger(tmp_path, 0), Ledger(tmp_path)
    (change,) = diff(first, second).of("changed")
    assert causes(change) == ["scores"]
    assert report(first, second).shown[0]["why"] == "style_leak 0.2 -> 0.9"


def test_a_version_that_is_not_there_is_told(tmp_path: Path) -> None:
    commit_rows(Store(tmp_path), [candidate("a", IMAGES)], list(IMAGES.values()))
    with pytest.raises(AuditError, match="the newest is 0"):
        Ledger(tmp_path, 4)
