"""Further attempts follow from what is committed alone: the same ones whenever they are asked for, each its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.attempts import attempt_id, next_attempts, rounds
from curation.graph.rows import SCHEMA, to_table
from curation.spec.model import JobSpec
from manifests.arrow_schema import arrow_schema
from manifests.identities import digest_of
from manifests.images import ImageRef
from manifests.records import Triplet
from manifests.store import Store
from tests.manifests.making import triplet_row
from tests.system.jobs import small_spec

ids = st.text(st.sampled_from("0123456789abcdef"), min_size=32, max_size=32)
TARGET = ImageRef(
    source="s", locator="l", fingerprint="f", subject="cat", family="color", treatment="none", caption="fat cat"
)


@given(first=ids, other=ids, attempts=st.lists(st.integers(1, 15), min_size=2, max_size=2, unique=True))
def test_ids_differ_by_candidate_number_and_route(first: str, other: str, attempts: list[int]) -> None:
    a, b = attempts
    assert attempt_id(first, a, "r") == attempt_id(first, a, "r")
    found = {attempt_id(first, a, "r"), attempt_id(first, b, "r"), attempt_id(first, a, "s"), first}
    assert len(found) == 4
    assert (attempt_id(other, a, "r") == attempt_id(first, a, "r")) == (first == other)


def proposed(name: str, **values: Any) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(SCHEMA.names)
    row |= {"candidate_id": digest_of(name), "reasons": [], "errors": [], "licences": [], "skipped": []}
    row |= {"layout": "shifted", "prompt": "a cat", "target_origin": TARGET.model_dump_json(), "truth": "good"}
    return row | {"stylize_seed": 1, "destylize_seed": 2, "fault": "style_leak"} | values


def committed(store: Store, **reasons: list[str]) -> None:
    rows = [
        triplet_row(name, candidate_id=digest_of(name), reasons=own, accepted=not own) for name, own in reasons.items()
    ]
    store.triplets.append(pa.Table.from_pylist(rows, arrow_schema(Triplet)))


def test_only_what_failed_and_may_succeed_is_tried_again(tmp_path: Path) -> None:
    store, spec = Store(tmp_path / "store"), small_spec(tmp_path, attempts={"most": 3})
    committed(store, bad=["style_leak>0.5"], good=[], copy=["duplicate_of:x"], gone=["ingest:too_small"])
    tried = to_table([proposed(name) for name in ("bad", "good", "copy", "gone", "uncommitted")])
    (again,) = next_attempts(tried, store.triplets, spec, 1).to_pylist()
    assert (again["retries"], again["attempt"], again["route"]) == (digest_of("bad"), 1, "again")
    assert (again["fault"], again["truth"], again["prompt"]) == (None, None, "a cat")
    assert again["candidate_id"] == attempt_id(digest_of("bad"), 1, spec.attempts.route(1).digest)
    assert again["stylize_seed"] != again["destylize_seed"] != 2


def test_the_second_attempt_is_at_the_first_candidate_and_changes_what_its_route_says(tmp_path: Path) -> None:
    routes = [{"name": "again"}, {"name": "worded", "prompt": "one {subject}"}]
    store, spec = Store(tmp_path / "store"), small_spec(tmp_path, attempts={"most": 3, "routes": routes})
    committed(store, bad=["style_leak>0.5"], kept=["style_leak>0.5"])
    tried = to_table([proposed("bad"), proposed("kept", layout="preserved", prompt="")])
    first = next_attempts(tried, store.triplets, spec, 1)
    rows = [
        triplet_row(f"{place}", candidate_id=row["candidate_id"], reasons=["copy_paste>0.9"])
        for place, row in enumerate(first.to_pylist())
    ]
    store.triplets.append(pa.Table.from_pylist(rows, arrow_schema(Triplet)))
    second = next_attempts(first, store.triplets, spec, 2).to_pylist()
    assert [row["retries"] for row in second] == [digest_of("bad"), digest_of("kept")]
    assert [(row["route"], row["prompt"]) for row in second] == [("worded", "one fat cat"), ("worded", "")]
    assert next_attempts(first, store.triplets, spec, 2).to_pylist() == second


NAMES = [f"candidate {number}" for number in range(12)]
ROUTES = [{"name": "again"}, {"name": "worded", "prompt": "one {subject}", "reasons": ["style_leak"]}]
Death = tuple[int, set[int]]
"""The round in which a run dies, and which of the rows that were left to do in it are committed by then."""


def outcome(candidate: str) -> list[str]:
    """Return the reasons that a candidate is rejected for; they follow from its id, as seeds and images do."""
    return [[], *[["style_leak>0.5"]] * 4, ["copy_paste>0.9"], ["duplicate_of:x"]][int(candidate[:4], 16) % 7]


def live(store: Store, spec: JobSpec, death: Death | None = None) -> None:
    """Work through the rounds of a job as its driver does, up to its end or its death."""
    for tried in rounds(to_table([proposed(name) for name in NAMES]), store.triplets, spec, policy="p"):
        dies = death is not None and death[0] == tried.attempt
        rows = [
            triplet_row(name, candidate_id=name, reasons=outcome(name), accepted=not outcome(name), attempt=number)
            for place, name in enumerate(tried.todo["candidate_id"].to_pylist())
            for number in [tried.attempt or None]
            if not dies or place in death[1]  # type: ignore[index]
        ]
        if rows:
            store.triplets.append(pa.Table.from_pylist(rows, arrow_schema(Triplet)))
        if dies:
            return


@pytest.fixture(scope="module")
def again(tmp_path_factory: pytest.TempPathFactory) -> JobSpec:
    return small_spec(tmp_path_factory.mktemp("spec"), attempts={"most": 3, "routes": ROUTES})


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, again: JobSpec) -> dict[str, int | None]:
    """Return the attempt of every candidate that a run which nothing cuts off makes."""
    store = Store(tmp_path_factory.mktemp("whole"))
    live(store, again)
    return attempts_in(store)


def attempts_in(store: Store) -> dict[str, int | None]:
    """Return the attempt of every candidate of a store, each of which is there once."""
    rows = store.triplets.read(["candidate_id", "attempt"]).to_pylist()
    found = {row["candidate_id"]: row["attempt"] for row in rows}
    assert len(found) == len(rows)
    return found


@settings(max_examples=10, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.sets(st.integers(0, 11))), min_size=1, max_size=3))
def test_whatever_was_committed_before_a_run_died_all_attempts_are_there_once_in_the_end(
    tmp_path_factory: pytest.TempPathFactory, again: JobSpec, whole: dict[str, int | None], deaths: list[Death]
) -> None:
    folder = tmp_path_factory.mktemp("lives")
    for death in [*deaths, None]:
        live(Store(folder), again, death)
    assert attempts_in(Store(folder)) == whole
    assert set(whole.values()) == {None, 1, 2}
