"""Experts are told apart by what became of their images, and blamed for their own side alone."""

from __future__ import annotations

import json
from typing import Any

from curation.report.experts import expert_rows, own_reasons

JOBS = [{"counts": json.dumps({"experts": {"d": {"role": "destylize", "title": "nano", "draws": True}}})}]


def row(stylizer: str | None, destylizer: str | None, *reasons: str, truth: str | None = None) -> dict[str, Any]:
    scores = {"style_similarity": 0.5, "style_similarity_csls": 0.0, "style_leak": 0.1, "subject_consistency": 0.25}
    scores |= {"destylization": 0.5, "layout_distance": 0.1, "copy_paste": 0.5, "palette_leak": 1.0}
    experts = {"stylize_expert": stylizer, "destylize_expert": destylizer}
    return {"accepted": not reasons, "reasons": list(reasons), "truth": truth, **experts, **scores}


def test_each_expert_is_counted_with_the_reasons_on_its_own_side() -> None:
    rows = [
        row("r", "d"),
        row("r", "d", "subject_consistency<0.5"),
        row("r", "d", "style_leak>0.7", "subject_consistency<0.5"),
        row("r", "d", "destylize_failed:not_finite"),
        row("r", "q"),
        row("r", "q", "layout_distance>0.5", truth="preserved_moved"),
        row(None, None, "ingest:truncated"),
    ]
    retrieval, other, drawer = expert_rows(rows, JOBS)
    assert (retrieval.role, retrieval.asked, retrieval.accepted, retrieval.own) == ("stylize", 5, 2, 4)
    assert retrieval.reasons == [("style_leak>0.7", 1)]
    assert (other.title, other.draws, other.asked) == ("expert q", False, 1)
    assert (drawer.title, drawer.draws, drawer.asked, drawer.failed) == ("nano", True, 4, 1)
    assert (drawer.accepted, drawer.own) == (1, 1)
    assert drawer.reasons[0] == ("subject_consistency<0.5", 2)
    assert drawer.scores["subject_consistency"] == 0.25


def test_reasons_belong_to_one_side() -> None:
    reasons = ["style_similarity_csls<-0.6", "stylize_failed:out_of_memory", "copy_paste>0.9", "ingest:truncated"]
    assert own_reasons("stylize", reasons) == reasons[:2]
    assert own_reasons("destylize", reasons) == [reasons[2]]
