"""Who serves a row: the expert that its id draws, or the one that its route names."""

from __future__ import annotations

from typing import Any

from curation.graph.encoding import encode
from curation.graph.expert_stage import ExpertStage
from tests.workers.experts.shapes import SUBJECTS, Shapes
from workers.experts.choice import choose_expert
from workers.experts.retrieval_destylizer import RetrievalDestylizer


def row(number: int, choice: str | None) -> dict[str, Any]:
    gallery = Shapes()
    (ref,) = gallery.of_subject(SUBJECTS[number], "ink")
    return {
        "candidate_id": f"candidate {number}",
        "target_image": encode(gallery.load(ref).pixels, "png"),
        "target_origin": ref.model_dump_json(),
        "layout": "shifted",
        "prompt": "a shape",
        "destylize_seed": number,
        "destylize_choice": choice,
        "fault": None,
        "reasons": [],
        "errors": [],
    }


def test_a_row_goes_to_the_expert_that_it_names_and_else_to_the_one_that_its_id_draws() -> None:
    experts = [RetrievalDestylizer(Shapes(), min_overlap=share) for share in (0.1, 0.2, 0.3)]
    shares = [0.5, 0.5, 0.0]
    stage = ExpertStage(experts, shares=shares, kind="png", names=[None, "second", "spare"])
    rows = [row(n, (None, "spare", "second")[n % 3]) for n in range(12)]
    stage.process(rows)
    for number, one in enumerate(rows):
        drawn = choose_expert(one["candidate_id"], "destylize", shares)
        expected = (drawn, 2, 1)[number % 3]
        assert one["destylize_expert"] == experts[expected].digest
        assert one["content_image"]


def test_a_row_that_names_nobody_is_rejected_and_its_neighbours_are_served() -> None:
    stage = ExpertStage([RetrievalDestylizer(Shapes())], shares=[1], kind="png", names=["only"])
    rows = [row(0, "only"), row(1, "gone"), row(2, None)]
    stage.process(rows)
    assert [one["reasons"] for one in rows] == [[], ["destylize_failed:no_such_expert"], []]
    assert [bool(one.get("content_image")) for one in rows] == [True, False, True]
