"""The story of a candidate or image: whole, and it says where the record does not agree with itself."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import yaml
from deltalake import DeltaTable
from PIL import Image

from manifests.arrow_schema import to_table
from manifests.audit.explain import AssetStory, CandidateStory, explain
from manifests.audit.explain_page import page_of
from manifests.audit.explain_text import text_of
from manifests.audit.ledger import AuditError, Ledger
from manifests.identities import digest_of
from manifests.records import Job, Judgement
from manifests.store import Store
from tests.manifests.audit.histories import accepted, candidate, commit_rows, drawn, image

RULES = [{"column": "style_leak", "min": None, "max": 0.5, "when": None}]
JUDGED = [{"column": "judge.style_match", "min": 3, "max": None, "when": {"layout": "shifted"}}]


def job(rules: list[dict[str, Any]]) -> Job:
    return Job(
        job_id="abc",
        spec=yaml.safe_dump({"name": "small", "policy": {"rules": rules}}),
        spec_digest="spec",
        generation_digest="generation",
        status="finished",
        started=datetime.now(UTC) - timedelta(minutes=1),
        finished=datetime.now(UTC) + timedelta(minutes=1),
        versions='{"triptych": "9.9"}',
        counts='{"experts": {"d1": {"title": "painter", "draws": true}}}',
    )


def make(folder: Path, rules: list[dict[str, Any]] = RULES, **changes: Any) -> dict[str, str]:
    """Write a store of an accepted candidate with real pictures and a rejected one, and return their ids."""
    target, style = image("target", 0), image("style", 0)
    content = drawn("content", 0, [target])
    images = {"target": target, "content": content, "style": style}
    facts = {"policy_digest": digest_of(rules), "destylize_expert": "d1", "destylize_seconds": 1.5, "layout": "shifted"}
    good = accepted(candidate("good", images, **facts)) | changes
    bad = candidate("bad", images, **facts) | {"errors": ["nothing"]}
    again = candidate("again", images, **facts) | {"retries": bad["candidate_id"], "attempt": 1, "route": "seed"}
    store = Store(folder)
    commit_rows(store, [good, bad, again], list(images.values()))
    store.jobs.append(to_table(Job, [job(rules)]))
    return {
        "good": good["candidate_id"],
        "bad": bad["candidate_id"],
        "again": again["candidate_id"],
        "style": str(style.asset_id),
    }


def story_of(folder: Path, one: str) -> CandidateStory:
    story = explain(Ledger(folder), one)
    assert isinstance(story, CandidateStory)
    return story


def test_a_candidate_is_told_from_source_to_shard(tmp_path: Path) -> None:
    names = make(tmp_path)
    story = story_of(tmp_path, names["good"][:8])
    text = text_of(story)
    for words in (
        f"Candidate {names['good']}: accepted",
        "From folder: target-0.png, package pack-0@1.",
        "Drawn by 'painter'",
        "It saw: folder:target-0.png hand.",
        "licence as stated then: MIT",
        "destylize: painter (draws), digest d1, seed 2, 1.5 s.",
        "style_leak <= 0.5: kept with 0.2.",
        "Committed as version 0",
        "Job abc (small), finished",
        "triptych 9.9",
    ):
        assert words in text
    assert story.shard is not None
    assert story.shard in text
    assert story.findings == []


def test_a_rejection_is_told_with_its_rule_and_its_further_attempts(tmp_path: Path) -> None:
    names = make(tmp_path)
    text = text_of(story_of(tmp_path, names["bad"]))
    assert "style_leak <= 0.5: broken with 0.6: style_leak>0.5." in text
    assert f"{names['bad']}: first attempt; rejected: style_leak>0.5 (this one)." in text
    assert f"{names['again']}: attempt 1, route 'seed'; rejected: style_leak>0.5." in text
    assert "What failed: nothing" in text
    assert len(story_of(tmp_path, names["again"]).attempts) == 2


def test_rules_on_a_verdict_are_read_from_the_judges_columns(tmp_path: Path) -> None:
    names = make(tmp_path, JUDGED, judge_style_match=2, accepted=False, reasons=["judge.style_match<3"])
    story = story_of(tmp_path, names["good"])
    assert [(rule.outcome, rule.value) for rule in story.rules] == [("broken", 2)]
    assert story.findings == []


def test_an_answer_is_told_word_for_word(tmp_path: Path) -> None:
    names = make(tmp_path)
    known = {"candidate_id": names["good"], "judge_digest": "j", "judge": "eye-7b", "prompt_version": "v1"}
    known |= {"prompt_digest": "p", "answers": ["Looks fine."], "judged": datetime.now(UTC)}
    known |= {"requests": 1, "tokens_in": 10, "tokens_out": 3, "seconds": 0.5}
    row = {name: known.get(name) for name in Judgement.model_fields}
    Store(tmp_path).judgements.append(to_table(Judgement, [Judgement.model_validate(row)]))
    text = text_of(story_of(tmp_path, names["good"]))
    assert "eye-7b, prompt v1 (p)." in text
    assert "Answer 1, word for word: 'Looks fine.'" in text


@pytest.mark.parametrize(
    ("change", "finding"),
    [
        ({"style_leak": "0.9"}, "scores and rules give style_leak>0.5, which is not recorded"),
        ({"reasons": "make_array('style_leak>0.5')"}, "accepted in spite of its reasons"),
        ({"policy_digest": "'unknown'"}, "no job of the store has the policy unknown"),
        ({"style_ref": "'00000000000000000000000000000000'"}, "its style image"),
        ({"shard": "'gone.tar'"}, "its shard gone.tar is in no commit"),
        ({"follows": "'x'"}, "no commit of the chain holds it"),
    ],
)
def test_what_does_not_agree_is_found(tmp_path: Path, change: dict[str, str], finding: str) -> None:
    names = make(tmp_path)
    table = DeltaTable(str(tmp_path / "tables" / "triplets"))
    table.update(predicate=f"candidate_id = '{names['good']}'", updates=change)
    assert any(finding in found for found in story_of(tmp_path, names["good"]).findings)
    assert "What does not agree" in text_of(story_of(tmp_path, names["good"]))


def test_a_killed_run_is_told(tmp_path: Path) -> None:
    images = {role: image(role, 0) for role in ("target", "content", "style")}
    row = candidate("a", images)
    commit_rows(Store(tmp_path), [row], list(images.values()))
    found = story_of(tmp_path, row["candidate_id"]).findings
    assert any("left no record" in one for one in found)


def test_an_image_is_told_with_its_candidates(tmp_path: Path) -> None:
    names = make(tmp_path)
    story = explain(Ledger(tmp_path), names["style"][:12])
    assert isinstance(story, AssetStory)
    assert (story.candidates, story.accepted) == (3, 1)
    assert story.roles == {"target": 0, "content": 0, "style": 3}
    assert story.shown_in is not None
    assert story.shown_in["candidate_id"] == names["good"]
    assert f"Image {names['style']}" in text_of(story)


def test_a_refused_image_is_told_with_its_reason(tmp_path: Path) -> None:
    refused = image("target", 9, asset_id=None, refused="too_small", detail="3 x 3 pixels", width=None, height=None)
    make(tmp_path)
    Store(tmp_path).assets.append(pa.Table.from_pylist([refused.model_dump()], Store(tmp_path).assets.schema))
    text = text_of(explain(Ledger(tmp_path), refused.ref_id))
    assert "refused at ingest" in text
    assert "Ingest refused it: too_small (3 x 3 pixels)." in text
    assert "No candidate has it." in text


def test_digits_that_several_begin_with_are_refused(tmp_path: Path) -> None:
    images = {role: image(role, 0) for role in ("target", "content", "style")}
    rows = [candidate(name, images, candidate_id=f"abcd{number:028}") for number, name in enumerate("ab")]
    commit_rows(Store(tmp_path), rows, list(images.values()))
    with pytest.raises(AuditError, match="2 candidates begin so"):
        explain(Ledger(tmp_path), "abcd")


def test_what_came_later_is_not_there_yet(tmp_path: Path) -> None:
    images = {role: image(role, 0) for role in ("target", "content", "style")}
    for name in "ab":
        commit_rows(Store(tmp_path), [candidate(name, images)], list(images.values()))
    later = candidate("b", images)["candidate_id"]
    assert story_of(tmp_path, later).commit is not None
    with pytest.raises(AuditError, match=r"in version 0 of .*; its newest version is 1"):
        explain(Ledger(tmp_path, 0), later)


def test_a_page_shows_the_pictures_of_the_shard(tmp_path: Path) -> None:
    names = make(tmp_path)
    page = page_of(Ledger(tmp_path), story_of(tmp_path, names["good"]))
    assert page.count('<img src="data:image/webp;base64,') == 3
    assert "The store keeps no picture of it." in page_of(Ledger(tmp_path), story_of(tmp_path, names["bad"]))


def test_a_page_shows_the_strip_of_a_rejected_candidate(tmp_path: Path) -> None:
    names = make(tmp_path)
    strip = tmp_path / "report" / "rejected" / f"{names['bad']}.webp"
    strip.parent.mkdir(parents=True)
    buffer = BytesIO()
    Image.new("RGB", (30, 10)).save(buffer, "WEBP")
    strip.write_bytes(buffer.getvalue())
    assert page_of(Ledger(tmp_path), story_of(tmp_path, names["bad"])).count("<img ") == 1


def test_a_page_says_which_picture_cannot_be_read(tmp_path: Path) -> None:
    names = make(tmp_path)
    for path in (tmp_path / "shards").iterdir():
        path.unlink()
    assert "Pictures cannot be read" in page_of(Ledger(tmp_path), story_of(tmp_path, names["good"]))


def test_what_people_wrote_cannot_break_the_page(tmp_path: Path) -> None:
    names = make(tmp_path, subject="<script>alert(1)</script>")
    page = page_of(Ledger(tmp_path), story_of(tmp_path, names["good"]))
    assert "<script>" not in page
    assert "&lt;script&gt;" in page
