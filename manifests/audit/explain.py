"""The whole story of one candidate or image, put together from every table of a store."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from manifests.audit.commits import job_of
from manifests.audit.ledger import AuditError, Ledger
from manifests.audit.lookup import by_refs, candidate, images, rows_in, users_of
from manifests.audit.rules import RuleOutcome, outcome_of, rules_of
from manifests.records import JUDGED, ROLES, SCORES, TIMES

_USERS_SHOWN = 20


@dataclass(frozen=True)
class ImageStory:
    """One image: whence it came, how it was treated or drawn, and what ingest said."""

    role: str
    asset_id: str | None
    ref_id: str | None
    origin: Mapping[str, Any] | None
    """The row of `assets`; None where there is none, as for an image that was never made."""

    drawn: Mapping[str, Any] | None
    """How an expert drew it (expert, title, prompt, seed, inputs); None for an image of a source."""

    moved: Mapping[str, Any] | None
    """The layout move of an image of a source; None where it was left in place, or drawn."""


@dataclass(frozen=True)
class ExpertCall:
    """What one expert was asked."""

    role: str
    digest: str
    title: str | None
    draws: bool | None
    seed: int
    seconds: float | None


@dataclass(frozen=True)
class CommitStory:
    """The commit that added a row."""

    version: int
    time: str
    digest: str
    previous: str
    root: str


@dataclass(frozen=True)
class JobStory:
    """The job during which the row was committed, and the code it ran on."""

    job_id: str
    name: str | None
    status: str
    started: str
    finished: str
    spec_digest: str
    versions: Mapping[str, str]


@dataclass(frozen=True)
class CandidateStory:
    """Everything that a store knows of one candidate. `findings` is what does not agree with itself."""

    kind: str
    root: str
    version: int
    candidate_id: str
    accepted: bool
    reasons: Sequence[str]
    errors: Sequence[str]
    skipped: Sequence[str]
    subject: str
    style: str
    layout: str
    split: str
    prompt: str
    captioner: str | None
    images: Sequence[ImageStory]
    experts: Sequence[ExpertCall]
    scores: Mapping[str, float | None]
    scoring_digest: str
    judge: Mapping[str, Any]
    judgements: Sequence[Mapping[str, Any]]
    rules: Sequence[RuleOutcome]
    policy_digest: str
    generation_digest: str
    shard: str | None
    shard_sha256: str | None
    lies_in: str | None
    """The shard that holds its images now, where a compaction joined the one that its row names into another."""

    offset: int | None
    commit: CommitStory | None
    job: JobStory | None
    attempts: Sequence[Mapping[str, Any]]
    seconds: Mapping[str, float]
    licences: Sequence[str]
    truth: str | None
    findings: Sequence[str] = field(default_factory=list)


@dataclass(frozen=True)
class AssetStory:
    """Everything that a store knows of one image, and which candidates have it."""

    kind: str
    root: str
    version: int
    asset_id: str | None
    refused: str | None
    origins: Sequence[ImageStory]
    candidates: int
    accepted: int
    roles: Mapping[str, int]
    users: Sequence[Mapping[str, Any]]
    shown_in: Mapping[str, str] | None
    """An accepted candidate whose shard holds the image: its id, shard and role; None where there is none."""

    findings: Sequence[str] = field(default_factory=list)


Story = CandidateStory | AssetStory


def explain(ledger: Ledger, prefix: str) -> Story:
    """Return the story of the candidate or image with an id, or the only one that begins so.

    Raises AuditError where there is none, or more than one.
    """
    row = candidate(ledger, prefix)
    rows = images(ledger, prefix)
    if row is not None and rows:
        raise AuditError(f"{prefix}: a candidate and an image begin so; give more digits")
    if row is not None:
        return candidate_story(ledger, row)
    if rows:
        return asset_story(ledger, rows)
    raise AuditError(
        f"{prefix}: no candidate and no image begins so in version {ledger.version} of {ledger.root}"
        + ("" if ledger.version == ledger.newest else f"; its newest version is {ledger.newest}")
    )


def candidate_story(ledger: Ledger, row: Mapping[str, Any]) -> CandidateStory:
    """Return the story of a candidate, given its row of `triplets`."""
    jobs, findings = ledger.jobs, []
    rules = rules_of(row["policy_digest"], jobs)
    outcomes = [outcome_of(rule, row) for rule in rules or []]
    if rules is None:
        findings.append(f"no job of the store has the policy {row['policy_digest']} that decided on it")
    else:
        findings += _disagreements(row, outcomes)
    commit = ledger.by_previous.get(row["follows"])
    if commit is None:
        findings.append("no commit of the chain holds it")
    job = job_of(commit, jobs) if commit else None
    if commit is not None and job is None:
        findings.append("the job that committed it left no record: it was killed before it could write one")
    shard = ledger.shards.get(row["shard"] or "")
    if row["accepted"] and shard is None:
        findings.append(f"its shard {row['shard']} is in no commit")
    pictured = _images(ledger, row)
    findings += [
        f"its {image.role} image {image.ref_id} is not in the table `assets`"
        for image in pictured
        if image.asset_id is not None and image.origin is None
    ]
    return CandidateStory(
        kind="candidate",
        root=ledger.root,
        version=ledger.version,
        **{key: row[key] for key in _COPIED},
        images=pictured,
        experts=_experts(row, job, jobs),
        scores={column: row[column] for column in SCORES if row[column] is not None},
        judge={key: row[key] for key in (*JUDGED, "judge_layout", "judge_digest") if row[key] is not None},
        judgements=_judgements(ledger, row["candidate_id"]),
        rules=outcomes,
        shard_sha256=shard[1]["sha256"] if shard else None,
        lies_in=_home(ledger, row["shard"]),
        commit=None
        if commit is None
        else CommitStory(commit.version, commit.time.isoformat(), commit.digest, commit.previous, commit.root),
        job=None if job is None else _job(job),
        attempts=_attempts(ledger, row),
        seconds={column.removesuffix("_seconds"): row[column] for column in TIMES if row[column] is not None},
        findings=findings,
    )


_COPIED = (
    *("candidate_id", "accepted", "reasons", "errors", "skipped", "subject", "style", "layout", "split", "prompt"),
    *("captioner", "scoring_digest", "policy_digest", "generation_digest", "shard", "offset", "licences", "truth"),
)


def asset_story(ledger: Ledger, rows: Sequence[Mapping[str, Any]]) -> AssetStory:
    """Return the story of an image, given its rows of `assets`."""
    refs = [row["ref_id"] for row in rows]
    used = users_of(
        ledger,
        refs,
        columns="candidate_id, accepted, subject, style, layout, reasons, shard, target_ref, content_ref, style_ref",
    )
    for user in used:
        user["roles"] = [role for role in ROLES if user.pop(f"{role}_ref") in refs]
    used.sort(key=lambda user: (not user["accepted"], user["candidate_id"]))
    shown = next((user for user in used if user["accepted"] and user["shard"]), None)
    return AssetStory(
        kind="asset",
        root=ledger.root,
        version=ledger.version,
        asset_id=rows[0]["asset_id"],
        refused=next((row["refused"] for row in rows if row["refused"]), None),
        origins=[_image(row["role"], row["asset_id"], row["ref_id"], row) for row in rows],
        candidates=len(used),
        accepted=sum(user["accepted"] for user in used),
        roles={role: sum(role in user["roles"] for user in used) for role in ROLES},
        users=used[:_USERS_SHOWN],
        shown_in=None
        if shown is None
        else {"candidate_id": shown["candidate_id"], "shard": shown["shard"], "role": shown["roles"][0]},
    )


def _disagreements(row: Mapping[str, Any], outcomes: Sequence[RuleOutcome]) -> list[str]:
    """Return where the recorded decision is not what scores and rules give."""
    given = {reason for reason in row["reasons"] if ":" not in reason}
    follows = {outcome.reason for outcome in outcomes if outcome.reason is not None}
    found = [f"the reason {reason} is recorded, but scores and rules do not give it" for reason in given - follows]
    found += [f"scores and rules give {reason}, which is not recorded" for reason in follows - given]
    if row["accepted"] == bool(row["reasons"]):
        found.append("it is accepted in spite of its reasons" if row["accepted"] else "it is rejected without a reason")
    return sorted(found)


def _images(ledger: Ledger, row: Mapping[str, Any]) -> list[ImageStory]:
    refs = [row[f"{role}_ref"] for role in ROLES if row[f"{role}_ref"]]
    origins = {origin["ref_id"]: origin for origin in by_refs(ledger, refs)}
    return [_image(role, row[f"{role}_id"], row[f"{role}_ref"], origins.get(row[f"{role}_ref"])) for role in ROLES]


def _image(role: str, asset: str | None, ref: str | None, origin: Mapping[str, Any] | None) -> ImageStory:
    transform = json.loads(origin["transform"]) if origin and origin["transform"] else None
    drawn = transform if transform and transform.get("kind") == "generated" else None
    return ImageStory(role, asset, ref, origin, drawn, None if drawn else transform)


def _experts(
    row: Mapping[str, Any], job: Mapping[str, Any] | None, jobs: Sequence[Mapping[str, Any]]
) -> list[ExpertCall]:
    described: dict[str, Any] = {}
    for one in [*jobs, *([job] if job else [])]:
        described |= json.loads(one["counts"]).get("experts", {})
    calls = []
    for role in ("stylize", "destylize"):
        digest = row[f"{role}_expert"]
        if digest is not None:
            known = described.get(digest, {})
            facts = (known.get("title"), known.get("draws"), row[f"{role}_seed"], row[f"{role}_seconds"])
            calls.append(ExpertCall(role, digest, *facts))
    return calls


def _judgements(ledger: Ledger, candidate_id: str) -> list[dict[str, Any]]:
    if not ledger.has("judgements"):
        return []
    return rows_in(ledger, ledger.table("judgements"), "candidate_id", [candidate_id])


def _attempts(ledger: Ledger, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the first attempt and all further ones, in order; none where there was only one."""
    first = row["retries"] or row["candidate_id"]
    columns = "candidate_id, attempt, route, accepted, reasons"
    later = rows_in(ledger, ledger.triplets, "retries", [first], columns=columns)
    if not later:
        return []
    start = rows_in(ledger, ledger.triplets, "candidate_id", [first], columns=columns)
    return sorted([*start, *later], key=lambda one: one["attempt"] or 0)


def _home(ledger: Ledger, shard: str | None) -> str | None:
    home = shard
    while home in ledger.joined:
        home = ledger.joined[home]
    return None if home == shard else home


def _job(job: Mapping[str, Any]) -> JobStory:
    name = next((line[6:].strip() for line in job["spec"].splitlines() if line.startswith("name: ")), None)
    times = (job["started"].isoformat(), job["finished"].isoformat())
    return JobStory(job["job_id"], name, job["status"], *times, job["spec_digest"], json.loads(job["versions"]))
