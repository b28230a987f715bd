"""Roles of a store, and a log of its audits in which no entry can be changed or left out unnoticed."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from manifests.audit.access import (
    LOG,
    PLACE,
    AccessError,
    Roles,
    faults_of,
    read_log,
    read_roles,
    record_access,
    require,
    write_roles,
)
from manifests.audit.errors import AuditError
from manifests.files import open_writable


def test_without_roles_everybody_may_do_everything(tmp_path: Path) -> None:
    roles = read_roles(open_writable(tmp_path))
    assert roles is None
    require(roles, "anyone", "take_down")


def test_a_right_is_held_by_those_who_were_given_it(tmp_path: Path) -> None:
    files = open_writable(tmp_path)
    write_roles(files, Roles(take_down=("ana",)))
    roles = read_roles(files)
    require(roles, "eve", "read_images")
    require(roles, "ana", "take_down")
    with pytest.raises(AccessError, match="eve may not take down here; ana may"):
        require(roles, "eve", "take_down")


@pytest.mark.parametrize("text", ["{", '{"fly": ["ana"]}', '{"take_down": "ana"}'])
def test_roles_that_cannot_be_read_are_said_to_be(tmp_path: Path, text: str) -> None:
    (tmp_path / PLACE).write_text(text)
    with pytest.raises(AuditError, match="a list of names"):
        read_roles(open_writable(tmp_path))


def test_entries_of_many_at_once_form_one_chain(tmp_path: Path) -> None:
    files = open_writable(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda n: record_access(files, f"user {n}", "explain", {"one": str(n)}, "done"), range(24)))
    entries = list(read_log(files))
    assert {entry.who for entry in entries} == {f"user {n}" for n in range(24)}
    assert faults_of(entries) == []


def test_a_changed_entry_and_a_missing_one_are_found(tmp_path: Path) -> None:
    files = open_writable(tmp_path)
    for number in range(4):
        record_access(files, "ana", "query", {"sql": f"SELECT {number}"}, "done")
    second = tmp_path / LOG / f"{1:012}.json"
    entry = json.loads(second.read_text())
    second.write_text(json.dumps({**entry, "who": "nobody"}))
    assert faults_of(list(read_log(files))) == ["entry 2 does not follow the one before it: one of the two was changed"]
    second.unlink()
    assert faults_of(list(read_log(files))) == ["entry 1 is missing"]
    (tmp_path / LOG / f"{2:012}.json").write_text("{")
    with pytest.raises(AuditError, match="damaged"):
        list(read_log(files))
