"""A candidate made again from the ledger: are its images the same to the bit, and if not, what has changed since?"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import yaml
from pydantic import ValidationError

from curation.attempts import changed, route_digest
from curation.candidates import Digests, IngestedTarget, propose
from curation.context import (
    decide_stage,
    destylize_stage,
    gallery_of,
    load_stage,
    reference_bank,
    score_stage,
    stylize_stage,
)
from curation.experts import expert_digests
from curation.graph.encoding import decode_stored
from curation.graph.ingest_graph import IngestWorker
from curation.graph.rows import Row, is_open, origin_of, reject
from curation.graph.stage import Stage
from curation.scoring import scoring_digest
from curation.spec.editing_experts import HttpSpec
from curation.spec.model import JobSpec
from manifests.audit.commits import job_of
from manifests.audit.ledger import AuditError, Ledger
from manifests.audit.lookup import candidate
from manifests.audit.pictures import pictures_of
from manifests.images import ImageRef
from manifests.records import ROLES, SCORES, Role
from workers.experts.base import EXPERT_ROLES, ExpertRole
from workers.scorers.copy_paste import hash_bits

Sameness = Literal["bit-exact", "perceptually equal", "different", "not made"]

_ORDER: tuple[Sameness, ...] = ("bit-exact", "perceptually equal", "different", "not made")

PSNR = 40.0
"""Decibels from which two images of equal size look the same: differences of about one in 100 of the range."""

BITS = 6
"""Differing bits of the 256-bit perceptual hash up to which they do."""


_ROUNDING = 5e-4
"""How far a score may be off before it counts as another one: scores are stored with four decimals."""


@dataclass(frozen=True)
class Remade:
    """One image, then and now."""

    role: Role
    sameness: Sameness
    recorded: str | None
    """Asset id in the ledger."""
    now: str | None
    psnr: float | None = None
    """Peak signal-to-noise ratio to the image in the shard, in dB: infinite where no pixel differs, null where it
    keeps none."""
    hash_bits: int | None = None


@dataclass(frozen=True)
class Reproduction:
    """What came of making a candidate again."""

    root: str
    version: int
    candidate_id: str
    sameness: Sameness
    """That of the least equal image."""
    images: Sequence[Remade]
    scores: Mapping[str, tuple[float | None, float | None]] = field(default_factory=dict)
    """Scores that differ: as recorded, and now."""
    accepted: tuple[bool, bool | None] = (False, None)
    changes: Sequence[str] = field(default_factory=list)
    """What is not as it was: source, experts, models of scores, code, libraries."""
    notes: Sequence[str] = field(default_factory=list)
    """What was not made again, and why."""

    @property
    def findings(self) -> bool:
        """Tell whether an image is another one, or was not made."""
        return self.sameness not in ("bit-exact", "perceptually equal")


def reproduce(ledger: Ledger, prefix: str, *, scores: bool = True) -> Reproduction:
    """Make a candidate again, in this process, by the spec, seeds and sources that the ledger names.

    Its prompt is taken from the ledger; a captioner or a judge is not asked again, and neither is an expert behind a
    paid endpoint. Raises AuditError where there is no such candidate, or no job left a record of how it was made.
    """
    row = candidate(ledger, prefix)
    if row is None:
        raise AuditError(f"{prefix}: no candidate begins so in version {ledger.version} of {ledger.root}")
    job = _job(ledger, row)
    spec = _spec(job, row)
    changes = _versions(job)
    if spec.generation_digest != row["generation_digest"]:
        changes.append("the spec that is on record does not have the digest that the candidate has")
    ref = _source(ledger, spec, row, changes)
    if ref is None:
        return _outcome(ledger, row, None, changes, ["its target cannot be made, so nothing else was"])
    remade, notes = _remade(spec, ref, row, changes, scores=scores)
    return _outcome(ledger, row, remade, changes, notes)


def _job(ledger: Ledger, row: Mapping[str, Any]) -> Mapping[str, Any]:
    jobs = ledger.jobs
    commit = ledger.by_previous.get(row["follows"])
    job = job_of(commit, jobs) if commit else None
    if job is None:  # killed before it left its record: another run of the same spec tells as much
        job = next((one for one in jobs if one["generation_digest"] == row["generation_digest"]), None)
    if job is None:
        raise AuditError(
            f"{row['candidate_id']}: no job with its generation digest left a record, so its spec is not known; run "
            "the same spec on the store again, which makes nothing twice and leaves one"
        )
    return job


def _spec(job: Mapping[str, Any], row: Mapping[str, Any]) -> JobSpec:
    try:
        return JobSpec.model_validate(yaml.safe_load(job["spec"]))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise AuditError(
            f"{row['candidate_id']}: the spec of job {job['job_id']} does not work here: {place}: {first['msg']}"
        ) from None


def _versions(job: Mapping[str, Any]) -> list[str]:
    then: dict[str, str] = yaml.safe_load(job["versions"])
    found = []
    for name, was in then.items():
        if name == "python":
            continue
        try:
            now = version(name)
        except ModuleNotFoundError:
            now = "not installed"
        if now != was:
            found.append(f"{name} was {was}, is {now}")
    return found


def _source(ledger: Ledger, spec: JobSpec, row: Mapping[str, Any], changes: list[str]) -> ImageRef | None:
    """Return the source image of the target as it is listed now; None where it is listed no more."""
    recorded = ledger.rows(
        f"SELECT source, locator, treatment, fingerprint FROM ({ledger.assets.select()}) WHERE ref_id = $ref LIMIT 1",
        {"ref": row["target_ref"]},
    )
    if not recorded:
        changes.append("the ledger has no record of its target")
        return None
    was = recorded[0]
    gallery = gallery_of(spec)
    for ref in gallery.refs:
        if (ref.source, ref.locator) == (was["source"], was["locator"]):
            treated = ref.treated(was["treatment"])
            if ref.fingerprint != was["fingerprint"]:
                changes.append(f"the source image {ref.locator} is another one now (its fingerprint has changed)")
            elif gallery.ref_id(treated) != row["target_ref"]:
                changes.append(f"how {ref.locator} is painted or sized has changed")
            return treated
    changes.append(f"the source {was['source']} no longer has {was['locator']}")
    return None


def _remade(
    spec: JobSpec, ref: ImageRef, row: Mapping[str, Any], changes: list[str], *, scores: bool
) -> tuple[Row, list[str]]:
    """Return the candidate's row as the stages leave it now, and what was left out."""
    notes: list[str] = []
    made = _proposed(spec, ref, row)
    made["prompt"] = row["prompt"]
    if row["captioner"]:
        notes.append("its prompt was taken from the ledger; what wrote it was not asked again")
    _run(load_stage(spec), made)
    for role in EXPERT_ROLES:
        if any(isinstance(one, HttpSpec) for one in spec.experts.of(role)):
            notes.append(f"experts.{role} has a paid endpoint, which was not asked again")
            reject(made, f"{role}_failed:not_asked")
        if is_open(made):
            _note_expert(spec, role, row, changes)
            _run(stylize_stage(spec) if role == "stylize" else destylize_stage(spec), made)
    if scores and is_open(made):
        if scoring_digest(spec) != row["scoring_digest"]:
            changes.append("the models or parameters of the scores have changed")
        _run(score_stage(spec, reference_bank(spec)), made)
        if row["judge_digest"] is None:
            decide_stage(spec).process([made])
        else:
            notes.append("the judge was not asked again, so the decision was not made anew")
            made["accepted"] = None
    changes += [error for error in made["errors"] if error not in row["errors"]]
    return made, notes


def _proposed(spec: JobSpec, ref: ImageRef, row: Mapping[str, Any]) -> Row:
    """Return the candidate as it was proposed, in its attempt."""
    asset = IngestWorker(spec).ingest(ref)
    target = IngestedTarget(ref, asset.ref_id, asset.asset_id, asset.refused, asset.detail)
    digests = Digests(row["generation_digest"], row["scoring_digest"], row["policy_digest"])
    rows = propose([target], spec, digests)
    made = next(one for one in rows if (one["layout"], one["index"]) == (row["layout"], row["index"]))
    if row["duplicate_of"]:
        reject(made, f"duplicate_of:{row['duplicate_of']}")
    for attempt in range(1, (row["attempt"] or 0) + 1):
        made = changed({"retries": None, **made}, spec, attempt, route_digest(spec, spec.attempts.route(attempt)))
    return made


def _note_expert(spec: JobSpec, role: ExpertRole, row: Mapping[str, Any], changes: list[str]) -> None:
    recorded = row[f"{role}_expert"]
    if recorded and recorded not in expert_digests(spec, role):
        changes.append(f"the {role} expert {recorded[:12]} has other weights or parameters now")


def _run(stage: Stage, row: Row) -> None:
    """Work on a row that is still open; what the stage fails on becomes a reason, as it does in a job."""
    if not is_open(row):
        return
    try:
        stage.process([row])
    except Exception as error:  # whatever it is, it belongs to this candidate
        reject(row, f"{stage.name}_failed:{type(error).__name__}", str(error))


def _outcome(
    ledger: Ledger, row: Mapping[str, Any], made: Row | None, changes: list[str], notes: list[str]
) -> Reproduction:
    try:
        kept = {picture.role: picture.data for picture in pictures_of(ledger, row["candidate_id"], row["shard"])}
    except (OSError, ValueError) as error:
        kept, notes = {}, [*notes, f"its images in the shard cannot be read: {error}"]
    now = made or {}
    if made is not None:
        changes += _chosen_otherwise(ledger, row, made)
    images = [
        _compared(role, row[f"{role}_id"], now.get(f"{role}_image"), now.get(f"{role}_id"), kept.get(role))
        for role in ROLES
        if row[f"{role}_id"] is not None or now.get(f"{role}_image")
    ]
    differing: dict[str, tuple[float | None, float | None]] = {}
    if made is not None and made.get("style_leak") is not None:
        for column in SCORES:
            was, measured = row[column], made.get(column)
            alike = was is not None and measured is not None and math.isclose(was, measured, abs_tol=_ROUNDING)
            if was != measured and not alike:
                differing[column] = (was, measured)
    sameness: Sameness = max((image.sameness for image in images), key=_ORDER.index, default="not made")
    decided = None if made is None or made.get("style_leak") is None else made["accepted"]
    return Reproduction(
        ledger.root,
        ledger.version,
        row["candidate_id"],
        sameness,
        images,
        differing,
        (row["accepted"], decided),
        changes,
        notes,
    )


def _chosen_otherwise(ledger: Ledger, row: Mapping[str, Any], made: Row) -> list[str]:
    """Say where an expert took its image from another place of the sources than it did."""
    found = []
    for role in ("style", "content"):
        if not row[f"{role}_ref"] or not made.get(f"{role}_origin"):
            continue
        was = ledger.rows(
            f"SELECT source, locator FROM ({ledger.assets.select()}) WHERE ref_id = $ref LIMIT 1",
            {"ref": row[f"{role}_ref"]},
        )
        now = origin_of(made, role)
        if was and (was[0]["source"], was[0]["locator"]) != (now.source, now.locator):
            found.append(
                f"the {role} reference was {was[0]['locator']}, is {now.locator}: the sources list other images now"
            )
    return found


def _compared(role: Role, recorded: str | None, data: bytes | None, now: str | None, kept: bytes | None) -> Remade:
    if data is None and (now is None or now != recorded):
        return Remade(role, "not made", recorded, None)
    if now == recorded or data is None:
        return Remade(role, "bit-exact", recorded, now, math.inf, 0)
    if kept is None:
        return Remade(role, "different", recorded, now)
    first, second = (decode_stored(one) for one in (kept, data))
    bits = int((hash_bits(first) != hash_bits(second)).sum())
    noise = math.inf if first.shape != second.shape else _psnr(first, second)
    near = first.shape == second.shape and noise >= PSNR and bits <= BITS
    return Remade(role, "perceptually equal" if near else "different", recorded, now, round(noise, 1), bits)


def _psnr(first: Any, second: Any) -> float:
    error = float(((first.astype(np.float64) - second.astype(np.float64)) ** 2).mean())
    return math.inf if error == 0 else 10 * math.log10(255**2 / error)
