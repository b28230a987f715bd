"""Further attempts follow from what is committed alone: the same ones whenever they are asked for, each its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from curation.attempts import attempt_id, next_attempts
from curation.graph.rows import SCHEMA, to_table
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
