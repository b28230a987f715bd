"""The story of a candidate or image in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from manifests.audit.explain import AssetStory, CandidateStory, ImageStory, Story
from manifests.audit.rules import RuleOutcome

_ROLE = {"target": "Target", "content": "Content reference", "style": "Style reference"}
_LAYOUTS = {"preserved": "in its own layout", "shifted": "in another layout than the content reference"}


def told(story: Story) -> list[tuple[str, list[str]]]:
    """Return a story as sections: a heading, and sentences."""
    sections = candidate_sections(story) if isinstance(story, CandidateStory) else asset_sections(story)
    found = [(heading, list(sentences)) for heading, sentences in sections]
    if story.findings:
        found.append(("What does not agree", [_sentence(finding) for finding in story.findings]))
    return [(heading, sentences) for heading, sentences in found if sentences]


def text_of(story: Story) -> str:
    """Return a story as text for a terminal."""
    lines = []
    for heading, sentences in told(story):
        lines += [heading, *(f"  {sentence}" for sentence in sentences), ""]
    return "\n".join(lines).rstrip()


def candidate_sections(story: CandidateStory) -> Iterator[tuple[str, Iterator[str] | list[str]]]:
    """Yield the sections of a candidate's story."""
    verdict = "accepted" if story.accepted else "rejected"
    yield (
        f"Candidate {story.candidate_id}: {verdict}",
        [
            f"A triplet of {story.subject!r} in the style {story.style!r}, {_LAYOUTS.get(story.layout, story.layout)}; "
            f"split: {story.split}.",
            _prompt(story),
            *([f"By construction it is known to be: {story.truth}."] if story.truth else []),
        ],
    )
    for image in story.images:
        yield _ROLE[image.role], _image(image)
    yield "Experts", _experts(story)
    yield "Scores", [f"{column}: {value:g}" for column, value in story.scores.items() if value is not None]
    yield "Judge", _judge(story)
    yield f"Decision: {verdict}", _decision(story)
    yield "Attempts", [_attempt(one, story.candidate_id) for one in story.attempts]
    yield "Where it lies", _place(story)
    yield "Cost", _cost(story)


def asset_sections(story: AssetStory) -> Iterator[tuple[str, Iterator[str] | list[str]]]:
    """Yield the sections of an image's story."""
    name = story.asset_id or (story.origins[0].ref_id if story.origins else "")
    ways = "one way" if len(story.origins) == 1 else f"{len(story.origins)} ways"
    yield f"Image {name}" + (": refused at ingest" if story.refused else ""), [f"It came by {ways}."]
    for number, origin in enumerate(story.origins, start=1):
        yield (f"Origin {number} of {len(story.origins)}" if len(story.origins) > 1 else "Origin"), _image(origin)
    roles = ", ".join(f"{count} times as {role}" for role, count in story.roles.items() if count)
    used = [f"In {_count(story.candidates, 'candidate')}, {story.accepted:,} of them accepted: {roles}."]
    used += [
        f"{user['candidate_id']}  {'accepted' if user['accepted'] else 'rejected: ' + ', '.join(user['reasons'])}  "
        f"{user['subject']}, {user['style']}, {user['layout']}; as {', '.join(user['roles'])}"
        for user in story.users
    ]
    if story.candidates > len(story.users):
        used.append(f"and {story.candidates - len(story.users):,} more")
    yield "Used", used if story.candidates else ["No candidate has it."]


def _prompt(story: CandidateStory) -> str:
    if not story.prompt:
        return "Prompt: empty, which means: keep the layout."
    by = f"written by the captioner {story.captioner}" if story.captioner else "filled in from the spec's template"
    return f"Prompt: {story.prompt!r}, {by}."


def _image(image: ImageStory) -> Iterator[str]:
    if image.asset_id is None and image.origin is None:
        yield "Was never made."
        return
    yield f"Asset {image.asset_id}." if image.asset_id else f"Refused at ingest; its reference is {image.ref_id}."
    origin = image.origin
    if origin is None:
        yield "The table `assets` does not hold it."
        return
    if image.drawn is not None:
        yield from _drawn(image.drawn)
    else:
        yield f"From {origin['source']}: {origin['locator']}" + (
            f", package {origin['package']}." if origin["package"] else f", fingerprint {origin['fingerprint']}."
        )
    if origin["treatment"] != "none":
        yield f"Painted with the treatment {origin['treatment']!r}."
    if image.moved is not None:
        values = ", ".join(f"{key} {value}" for key, value in image.moved.items() if key != "kind")
        yield f"Layout move: {image.moved.get('kind')} ({values})."
    author = origin["author"] or "an author whom the source does not name"
    yield f"Shows {origin['subject']!r}, by {author}; licence as stated then: {origin['licence'] or 'none'}." + (
        f" {origin['attribution_url']}" if origin["attribution_url"] else ""
    )
    if origin["refused"]:
        yield f"Ingest refused it: {origin['refused']}" + (f" ({origin['detail']})." if origin["detail"] else ".")
    elif origin["width"]:
        yield f"{origin['width']} x {origin['height']} pixels, {origin['bytes']:,} bytes."


def _drawn(drawn: Mapping[str, Any]) -> Iterator[str]:
    yield f"Drawn by {drawn.get('title')!r} (expert {drawn.get('expert')}) with the seed {drawn.get('seed')}."
    yield f"The expert's prompt: {drawn.get('prompt')!r}."
    inputs: Sequence[str] = drawn.get("inputs", [])
    yield f"It saw: {'; '.join(inputs) or 'no image'}."


def _experts(story: CandidateStory) -> Iterator[str]:
    for call in story.experts:
        title = call.title or "an expert that no job of the store describes"
        how = {True: "draws", False: "chooses images of the sources", None: "unknown kind"}[call.draws]
        took = f", {call.seconds:.3g} s" if call.seconds is not None else ""
        yield f"{call.role}: {title} ({how}), digest {call.digest}, seed {call.seed}{took}."
    for stage in story.skipped:
        yield f"{stage}: not run, since an earlier stage had rejected the candidate."


def _judge(story: CandidateStory) -> Iterator[str]:
    parts = {k.removeprefix("judge_"): v for k, v in story.judge.items() if k != "judge_digest"}
    if parts:
        listed = ", ".join(f"{key} {value}" for key, value in parts.items())
        yield f"{listed}; judge {story.judge.get('judge_digest')}."
    for judgement in story.judgements:
        yield f"{judgement['judge']}, prompt {judgement['prompt_version']} ({judgement['prompt_digest']})" + (
            f": {judgement['failure']} {judgement['detail'] or ''}." if judgement["failure"] else "."
        )
        for number, answer in enumerate(judgement["answers"], start=1):
            yield f"Answer {number}, word for word: {answer!r}"


def _decision(story: CandidateStory) -> Iterator[str]:
    for rule in story.rules:
        yield _rule(rule)
    for reason in story.reasons:
        if ":" in reason:
            yield f"{reason}: no policy can lift this."
    for error in story.errors:
        yield f"What failed: {error}"
    yield f"Policy {story.policy_digest}; scoring {story.scoring_digest}; generation {story.generation_digest}."


def _rule(rule: RuleOutcome) -> str:
    value = "" if rule.value is None else f" with {rule.value:g}"
    reason = f": {rule.reason}" if rule.reason else ""
    return f"{rule.rule}: {rule.outcome}{value}{reason}."


def _attempt(one: Mapping[str, Any], this: str) -> str:
    number = f"attempt {one['attempt']}, route {one['route']!r}" if one["attempt"] else "first attempt"
    came = "accepted" if one["accepted"] else f"rejected: {', '.join(one['reasons'])}"
    return f"{one['candidate_id']}: {number}; {came}" + (" (this one)." if one["candidate_id"] == this else ".")


def _place(story: CandidateStory) -> Iterator[str]:
    if story.shard:
        yield f"Shard {story.shard}, from byte {story.offset:,} on; sha256 of the shard {story.shard_sha256}."
        if story.lies_in:
            yield f"A compaction has joined that shard into {story.lies_in}, which holds the images now."
    else:
        yield "In no shard: rejected candidates keep their row and lose their images."
    if story.commit:
        commit = story.commit
        yield f"Committed as version {commit.version}, {commit.time}; digest {commit.digest}, root {commit.root}."
    if story.job:
        job = story.job
        versions = ", ".join(f"{name} {version}" for name, version in job.versions.items())
        yield f"Job {job.job_id} ({job.name}), {job.status}, {job.started} to {job.finished}; spec {job.spec_digest}."
        yield f"Ran on {versions}."
    if story.licences:
        yield f"Licences of its images: {', '.join(story.licences)}."


def _cost(story: CandidateStory) -> Iterator[str]:
    if story.seconds:
        stages = ", ".join(f"{stage} {seconds:.3g} s" for stage, seconds in story.seconds.items())
        yield f"{sum(story.seconds.values()):.3g} s of workers' time: {stages}."
    else:
        yield "Not recorded: the row was written by a release that did not measure it."


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _sentence(text: str) -> str:
    return f"{text[0].upper()}{text[1:]}."
