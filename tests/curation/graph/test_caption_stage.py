"""Prompts of a job: today's where nothing is said of captions, and else who wrote them, or why there is none."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from pydantic import ValidationError

from curation.candidates import Digests, IngestedTarget, propose
from curation.graph.caption_stage import CaptionStage
from curation.graph.encoding import encode
from curation.graph.rows import Row
from curation.spec.model import JobSpec
from tests.workers.experts.shapes import SUBJECTS, Shapes
from workers.captions.base import Captioner, NoCaption
from workers.experts.base import Pixels


def spec(**changes: Any) -> JobSpec:
    return JobSpec.model_validate({"name": "t", "sources": [{"kind": "iconify"}], **changes})


def rows(job: JobSpec, targets: int = 20) -> list[Row]:
    """Return the rows of a job as they leave the load stage."""
    gallery = Shapes()
    refs = [gallery.of_subject(name, "ink")[0] for name in SUBJECTS[:targets]]
    made = list(propose([IngestedTarget(ref, ref.locator, ref.locator) for ref in refs], job, Digests("g", "s", "p")))
    for row in made:
        (ref,) = gallery.of_subject(row["subject"], "ink")
        row["target_image"] = encode(gallery.load(ref).pixels, "png")
    return made


class Fixed(Captioner):
    """Says what it was told to say, one after the other."""

    title = "fixed"
    digest = "d" * 32

    def __init__(self, said: Sequence[str | NoCaption]) -> None:
        self.said = list(said)
        self.asked = 0

    def caption(self, pictures: Sequence[Pixels]) -> list[str | NoCaption]:
        self.asked += len(pictures)
        return [self.said[number % len(self.said)] for number in range(len(pictures))]


def test_the_template_alone_changes_neither_prompts_nor_candidates() -> None:
    plain, templated = spec(), spec(captions={"kind": "template"})
    assert templated.generation_digest == plain.generation_digest
    before, after = rows(plain), rows(templated)
    stage = CaptionStage(None, template=templated.prompt, strip=False, empty_share=1.0)
    stage.process(after)
    assert [row["prompt"] for row in after] == [row["prompt"] for row in before]
    assert {row["captioner"] for row in after if row["prompt"]} == {None}
    assert list(plain.pools()) == ["load", "stylize", "destylize", "score", "pack"]
    assert list(templated.pools())[:2] == ["load", "caption"]


def test_what_changes_prompts_makes_new_candidates() -> None:
    endpoint = {"kind": "openai", "base_url": "http://127.0.0.1:9/v1", "model": "m"}
    digests = [
        spec(captions=captions).generation_digest
        for captions in (
            {"kind": "template"},
            {"kind": "template", "style_words": "strip"},
            {"kind": "template", "empty_share": 0.5},
            endpoint,
            {**endpoint, "style_words": "keep"},
            {**endpoint, "model": "n"},
        )
    ]
    assert len(set(digests)) == len(digests)
    assert spec(captions={**endpoint, "base_url": "http://x/v1", "price": 1}).generation_digest == digests[3]


def test_a_stated_share_of_layout_preserved_candidates_has_the_empty_prompt() -> None:
    job = spec(layouts={"preserved": 20, "shifted": 2})
    made = rows(job, targets=40)
    CaptionStage(None, template=job.prompt, strip=False, empty_share=0.7).process(made)
    empty = Counter((row["layout"], row["prompt"] == "") for row in made)
    assert empty["shifted", True] == 0
    assert empty["preserved", True] / 800 == pytest.approx(0.7, abs=0.06)
    again = rows(job, targets=40)
    CaptionStage(None, template=job.prompt, strip=False, empty_share=0.7).process(again)
    assert [row["prompt"] for row in again] == [row["prompt"] for row in made]


def test_rows_of_one_target_share_a_caption_and_a_failure_is_theirs_alone() -> None:
    job = spec(layouts={"preserved": 1, "shifted": 3})
    made = rows(job, targets=4)
    said = ["an ink drawing of a fox", NoCaption("timeout", "no answer"), "pencil sketch", "a dog"]
    captioner = Fixed(said)
    CaptionStage(captioner, template="", strip=True, empty_share=1.0).process(made)
    assert captioner.asked == 4
    shifted = [row for row in made if row["layout"] == "shifted"]
    assert [row["prompt"] for row in shifted] == ["a fox"] * 3 + [""] * 6 + ["a dog"] * 3
    reasons = [row["reasons"] for row in shifted]
    assert reasons == [[]] * 3 + [["caption_failed:timeout"]] * 3 + [["caption_failed:only_style"]] * 3 + [[]] * 3
    assert {row["captioner"] for row in shifted} == {"d" * 32}
    preserved = [row for row in made if row["layout"] == "preserved"]
    assert all(row["prompt"] == "" and not row["reasons"] and row.get("captioner") is None for row in preserved)


@pytest.mark.parametrize(
    ("captions", "complaint"),
    [
        ({"kind": "magic"}, "does not match any of the expected tags"),
        ({"kind": "template", "empty_share": 2}, "less than or equal to 1"),
        ({"kind": "transformers", "model": "gone"}, "neither a folder nor a hub name"),
        ({"kind": "openai", "model": "m", "base_url": "http://h/v1", "api_key_env": "NO_SUCH_KEY"}, "is not set"),
    ],
)
def test_captions_that_cannot_work_are_refused_before_any_work(captions: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValidationError, match=complaint):
        spec(captions=captions)


def test_a_further_attempt_keeps_the_prompt_that_its_route_gave_it() -> None:
    job = spec()
    made = rows(job, 2)
    for row in made:
        row.update(route="worded", prompt="" if row["layout"] == "preserved" else "one cat alone")
    captioner = Fixed(["a cat that sleeps"])
    CaptionStage(captioner, template="", strip=False, empty_share=0.0, worded=["worded"]).process(made)
    said = {(row["layout"], row["prompt"], row.get("captioner")) for row in made}
    assert said == {("preserved", "a cat that sleeps", captioner.digest), ("shifted", "one cat alone", None)}
    for row in made:
        row["route"] = "again"
    CaptionStage(captioner, template="", strip=False, empty_share=0.0, worded=["worded"]).process(made)
    assert {row["prompt"] for row in made} == {"a cat that sleeps"}
