"""The record that lies beside a sample's images, and what it has in common with the candidate's row."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from manifests.identities import digest_of
from manifests.records import JUDGED, SCORES

RECORDED: tuple[str, ...] = (
    "candidate_id",
    "layout",
    "index",
    "split",
    "subject",
    "style",
    "style_subject",
    "target_id",
    "content_id",
    "style_id",
    "generation_digest",
    "scoring_digest",
    "policy_digest",
    "stylize_expert",
    "destylize_expert",
    "stylize_seed",
    "destylize_seed",
)
"""Columns of `triplets` that a record repeats under their own names."""


def mark_of_row(row: Mapping[str, Any]) -> str:
    """Return a digest of what a row of `triplets` says and a record repeats."""
    judge = {column: row[column] for column in ("judge_digest", *JUDGED, "judge_layout")} if row["judge_digest"] else {}
    transform = json.loads(row["transform"]) if row["transform"] else None
    scores = {column: float(row[column]) for column in SCORES if row[column] is not None}
    return _mark({name: row[name] for name in RECORDED}, scores, judge, row["prompt"], transform)


def mark_of_record(data: bytes) -> str | None:
    """Return the same digest of a record; None of one that another program wrote, and that does not hold all of it."""
    try:
        record = json.loads(data)
        scores = {column: float(value) for column, value in record["scores"].items()}
        known = {name: record[name] for name in RECORDED}
        return _mark(known, scores, record.get("judge", {}), record["prompt"], record["transform"])
    except (ValueError, KeyError, TypeError, AttributeError):
        return None


def _mark(known: Any, scores: Any, judge: Any, prompt: str, transform: Any) -> str:
    return digest_of([known, scores, judge, prompt, transform])
