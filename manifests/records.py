"""The records of the manifest; the schema of each table is derived from its record."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from manifests.images import Split

Layout = Literal["preserved", "shifted"]
Role = Literal["target", "content", "style"]

ROLES: tuple[Role, ...] = ("target", "content", "style")

EMBEDDED: tuple[str, ...] = (
    "style_similarity",
    "style_similarity_csls",
    "style_leak",
    "subject_consistency",
    "destylization",
    "layout_distance",
    "copy_paste",
    "palette_leak",
)
"""The scores that every job measures."""

OPTIONAL: tuple[str, ...] = (
    "photorealism",
    "text_alignment",
    "aesthetic",
    "nsfw",
    "watermark",
    "faces",
    "contamination",
)
"""The scores that a job measures where its spec names a model for them; null otherwise."""

SCORES: tuple[str, ...] = EMBEDDED + OPTIONAL
"""The score columns of a triplet, in the order in which people read them."""

JUDGED: tuple[str, ...] = ("judge_style_match", "judge_style_only", "judge_subject_match", "judge_realism")
"""The parts of a judgement that are numbers, 0 to 4; a rule writes them `judge.style_match` and so on."""


class Record(BaseModel):
    """Base of all records: immutable, and strict about what it is given."""

    model_config = ConfigDict(frozen=True, extra="forbid")


Follows = Annotated[
    str | None,
    Field(description="Digest of the addition to the table before the one that added the row; null if older."),
]
"""Column by which the rows of a table beside `triplets` are told which of its additions they came with."""


class Asset(Record):
    """One image that a job looked at: a target, accepted or refused at ingest, or an image that an expert made."""

    ref_id: str = Field(description="Digest of where the image came from and how it was treated and moved.")
    asset_id: str | None = Field(description="sha256 of the encoded bytes; null for an image that was refused.")
    role: Role
    source: str
    locator: str
    fingerprint: str
    subject: str
    family: str
    treatment: str
    style: str
    split: Split
    licence: str | None
    author: str | None
    attribution_url: str | None
    package: str | None
    transform: str | None = Field(
        description="The layout move as JSON, or, of a source `generated`, how an expert drew the image (kind "
        "`generated`; its digest, prompt, seed and inputs); null where the image was left in place."
    )
    width: int | None
    height: int | None
    bytes: int | None
    perceptual_hash: str | None = Field(description="256-bit pHash, 64 hexadecimal digits.")
    refused: str | None = Field(description="Reason for which ingest refused the image.")
    detail: str | None = Field(description="What ingest saw, for the person who looks.")
    follows: Follows = None


class Triplet(Record):
    """One candidate triplet, accepted or rejected, with every score and every reason."""

    candidate_id: str
    accepted: bool
    reasons: list[str] = Field(description="Every rule that failed, e.g. `style_leak>0.55`; empty when accepted.")
    errors: list[str] = Field(description="What failed while making or scoring the candidate, in full.")
    layout: Layout
    index: int
    split: Split
    prompt: str
    target_id: str | None
    content_id: str | None
    style_id: str | None
    target_ref: str = Field(description="`ref_id` of the target in `assets`.")
    content_ref: str | None
    style_ref: str | None
    subject: str = Field(description="Subject of the target.")
    style: str = Field(description="Style of the target: family, and treatment where there is one.")
    style_subject: str | None = Field(description="Subject of the style reference, where its source states one.")
    transform: str | None = Field(
        description="Layout move of the content reference, or how an expert drew it, as JSON."
    )
    licences: list[str] = Field(description="SPDX identifiers of the three images, without repetition.")
    style_similarity: float | None = None
    style_similarity_csls: float | None = None
    style_leak: float | None = None
    subject_consistency: float | None = None
    destylization: float | None = None
    layout_distance: float | None = None
    copy_paste: float | None = None
    palette_leak: float | None = None
    photorealism: float | None = None
    text_alignment: float | None = None
    aesthetic: float | None = None
    nsfw: float | None = None
    watermark: float | None = None
    faces: float | None = None
    contamination: float | None = Field(
        default=None, description="Similarity of the target to the nearest evaluation image, 0 to 1."
    )
    contaminates: str | None = Field(default=None, description="Path of the nearest evaluation image.")
    judge_style_match: int | None = Field(default=None, ge=0, le=4)
    judge_style_only: int | None = Field(default=None, ge=0, le=4)
    judge_subject_match: int | None = Field(default=None, ge=0, le=4)
    judge_realism: int | None = Field(default=None, ge=0, le=4)
    judge_layout: str | None = Field(default=None, description="`preserved` or `shifted`, as the judge sees it.")
    judge_digest: str | None = Field(default=None, description="Digest of the judge that answered.")
    duplicate_of: str | None = Field(default=None, description="Asset id of the nearest earlier target, if too near.")
    skipped: list[str] = Field(description="Stages that were not run, since an earlier one had rejected the row.")
    generation_digest: str
    scoring_digest: str
    policy_digest: str
    stylize_expert: str | None = Field(description="Digest of the expert that made the style reference.")
    destylize_expert: str | None = Field(description="Digest of the expert that made the content reference.")
    stylize_seed: int
    destylize_seed: int
    captioner: str | None = Field(default=None, description="Digest of what wrote the prompt; null for the template.")
    attempt: int | None = Field(default=None, ge=1, description="Which further attempt this is; null for the first.")
    route: str | None = Field(default=None, description="Name of the route that a further attempt took.")
    retries: str | None = Field(default=None, description="Candidate whose failure a further attempt makes good.")
    caption_seconds: float | None = Field(default=None, description="Worker's time for the row, in seconds.")
    stylize_seconds: float | None = None
    destylize_seconds: float | None = None
    score_seconds: float | None = None
    judge_seconds: float | None = None
    truth: str | None = Field(
        default=None,
        description="What is known of the candidate by construction: `good` or the kind of fault. "
        "No scorer and no rule may read it.",
    )
    shard: str | None = Field(default=None, description="File name of the shard; null for a rejected candidate.")
    offset: int | None = Field(default=None, description="Offset of the sample's first member in the shard, in bytes.")
    follows: str = Field(default="", description="Digest of the commit before the one that added the row.")


class Judgement(Record):
    """What a judge was shown, and what it said, word for word; of a candidate, or of a canary."""

    candidate_id: str = Field(description="The candidate, or the canary's own key.")
    judge_digest: str
    judge: str = Field(description="Name of the model.")
    prompt_version: str
    prompt_digest: str
    target_id: str | None = Field(description="Asset id of the target as shown; null for a canary.")
    style_id: str | None
    content_id: str | None
    answers: list[str] = Field(description="Text of every try, word for word.")
    style_match: int | None = Field(ge=0, le=4)
    style_only: int | None = Field(ge=0, le=4)
    subject_match: int | None = Field(ge=0, le=4)
    realism: int | None = Field(ge=0, le=4)
    layout: str | None
    verdict: str | None = Field(description="The whole verdict as JSON, with subjects and reasons; null without one.")
    failure: str | None = Field(description="`judge_unparsable`, or `judge_failed:<why>`.")
    detail: str | None
    requests: int
    tokens_in: int
    tokens_out: int
    seconds: float
    canary: str | None = Field(description="Kind of canary; null for a candidate.")
    hit: bool | None = Field(description="Whether the verdict on a canary is right; null for a candidate.")
    judged: datetime
    follows: Follows = None


TIMES: tuple[str, ...] = tuple(f"{stage}_seconds" for stage in ("caption", "stylize", "destylize", "score", "judge"))
"""What a candidate took, stage by stage. A commit's root leaves it out: equal candidates have equal roots, however
long they took."""

LATER: frozenset[str] = frozenset(
    {
        *OPTIONAL,
        *JUDGED,
        *("contaminates", "judge_layout", "judge_digest", "captioner", "attempt", "route", "retries"),
    }
)
"""Columns of `triplets` that came after the first release, beside TIMES. A root covers one where it is not null,
so that rows of before have the leaves that they were committed with."""


class Job(Record):
    """One run of a job: what was asked, with which versions, and what came of it."""

    job_id: str
    spec: str = Field(description="The spec as it ran, as YAML, with overrides applied.")
    spec_digest: str
    generation_digest: str
    status: Literal["finished", "interrupted", "failed"]
    started: datetime
    finished: datetime
    versions: str = Field(description="Versions of the libraries that matter, as JSON.")
    counts: str = Field(description="The funnel, and the job's experts by digest, as JSON.")
    follows: Follows = None


class Erasure(Record):
    """A tombstone: one row that a takedown removed. It holds no id, name or picture of what it stands for."""

    takedown: str = Field(description="The takedown that removed the row.")
    table: str = Field(description="The table that the row was in.")
    commit: str | None = Field(description="The row's `follows`, which names its commit; null in earlier releases.")
    place: int | None = Field(description="The row's place among those of its commit; null but for `triplets`.")
    leaf: str = Field(description="The row's leaf in the Merkle tree of its commit, so that the root can be computed.")
    salt: str = Field(description="Random; what the two marks were hashed with.")
    asset_mark: str | None = Field(description="Salted hash of the asset id; null where there was none.")
    look_mark: str | None = Field(description="Salted hash of the perceptual hash; null where there was none.")
    erased: datetime = Field(description="When the takedown was begun.")
    follows: Follows = None
