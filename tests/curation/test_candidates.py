"""What is proposed for a target, and in which order it is packed."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from curation.candidates import Digests, IngestedTarget, draw_fault, in_shard_order, proposals, propose
from curation.spec.model import FaultSpec, JobSpec
from manifests.images import ImageRef
from workers.experts.faults import Fault, applies

DIGESTS = Digests("g", "s", "p")


def spec(**keys: object) -> JobSpec:
    return JobSpec.model_validate({"name": "t", "sources": [{"kind": "iconify"}], **keys})


def target(subject: str = "red-apple", **values: str | None) -> IngestedTarget:
    ref = ImageRef(source="s", locator=f"color/{subject}", fingerprint="1", subject=subject, family="color")
    return IngestedTarget(ref, f"ref {subject}", **{"asset_id": f"asset {subject}", **values})


def test_each_target_gets_its_candidates_and_prompts_by_layout() -> None:
    rows = list(propose([target()], spec(layouts={"preserved": 1, "shifted": 2}), DIGESTS))
    assert [(row["layout"], row["index"]) for row in rows] == [("preserved", 0), ("shifted", 0), ("shifted", 1)]
    assert [row["prompt"] for row in rows] == ["", "a photo of red apple", "a photo of red apple"]
    assert len({row["candidate_id"] for row in rows}) == 3
    assert len({row["stylize_seed"] for row in rows} | {row["destylize_seed"] for row in rows}) == 6


def test_refused_and_repeated_targets_are_rows_with_their_reason() -> None:
    refused = target("a", asset_id=None, refused="truncated", detail="ends early")
    copy = target("b", asset_id="asset c", duplicate_of="asset c")
    rows = list(propose([refused, copy, target("c")], spec(), DIGESTS))
    assert [row["reasons"] for row in rows[::2]] == [["ingest:truncated"], ["duplicate_of:asset c"], []]
    assert "ends early" in rows[0]["errors"][0]
    assert len({row["candidate_id"] for row in rows}) == 6


def test_scores_policy_and_places_do_not_change_ids_and_generation_does() -> None:
    base = spec().generation_digest
    assert spec(policy=[{"column": "style_leak", "max": 0.5}]).generation_digest == base
    assert spec(shards={"candidates": 7}, scores={"bank": 64}).generation_digest == base
    assert spec(seed=1).generation_digest != base
    assert spec(treatments=["none", {"name": "pixel", "pixels": 9}]).generation_digest != base


@given(st.integers(0, 2**63 - 1), st.sampled_from(["preserved", "shifted"]))
def test_a_fault_fits_its_layout_and_depends_on_the_seed_alone(seed: int, layout: str) -> None:
    faults = FaultSpec(share=0.5)
    fault = draw_fault(faults, layout, seed=seed)  # type: ignore[arg-type]
    assert fault == draw_fault(faults, layout, seed=seed)  # type: ignore[arg-type]
    assert fault is None or applies(Fault(fault), layout)  # type: ignore[arg-type]


def test_the_share_of_faults_is_the_one_asked_for_and_all_kinds_occur() -> None:
    drawn = Counter(draw_fault(FaultSpec(share=0.3), "shifted", seed=seed) for seed in range(4000))
    assert drawn[None] / 4000 == pytest.approx(0.7, abs=0.03)
    assert set(drawn) - {None} == {str(kind) for kind in Fault if applies(kind, "shifted")}


def test_the_order_of_shards_keeps_splits_and_targets_together_whatever_came_first() -> None:
    table = proposals([target(f"subject-{n}") for n in range(60)], spec(), DIGESTS)
    order = list(range(table.num_rows))
    random.Random(3).shuffle(order)
    ordered = in_shard_order(table).to_pylist()
    assert in_shard_order(table.take(order)).to_pylist() == ordered
    splits = [row["split"] for row in ordered]
    assert splits == sorted(splits, key=lambda split: split == "heldout")
    assert all(a["target_id"] == b["target_id"] for a, b in zip(ordered[::2], ordered[1::2], strict=True))


def test_the_same_candidate_is_proposed_once() -> None:
    twice = proposals([target("a"), target("a")], spec(), DIGESTS)
    assert twice.num_rows == 2
    assert proposals([], spec(), DIGESTS).num_rows == 0
