"""How the experts of a store fared: what was accepted of their images, and for what the rest was rejected."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from workers.experts.base import EXPERT_ROLES, ExpertRole
from workers.experts.faults import GOOD

_COLUMNS: dict[ExpertRole, tuple[str, ...]] = {
    "stylize": ("style_similarity", "style_similarity_csls", "style_leak"),
    "destylize": ("subject_consistency", "destylization", "layout_distance", "copy_paste", "palette_leak"),
}
"""Score columns by the role whose image they are about, beside the target."""

_TYPICAL = 4


@dataclass(frozen=True)
class ExpertRow:
    """One expert of a role: how many images it was asked for, failed to make, and what became of their candidates.

    `own` counts the candidates that nothing was wrong with on this expert's side, whatever the other image was like;
    `reasons` are the commonest reasons on its side, and `scores` the means of the scores about its images.
    """

    role: ExpertRole
    digest: str
    title: str
    draws: bool
    asked: int
    failed: int
    accepted: int
    own: int
    reasons: list[tuple[str, int]]
    scores: Mapping[str, float]


def expert_rows(rows: Sequence[Mapping[str, Any]], jobs: Sequence[Mapping[str, Any]]) -> list[ExpertRow]:
    """Return a row for each expert that made or failed to make images, by role; those that draw last.

    `rows` are of `triplets`, `jobs` of `jobs`. Candidates that were spoiled on purpose do not count.
    """
    known = known_experts(jobs)
    unspoiled = [row for row in rows if row["truth"] in (None, GOOD)]
    found = []
    for role in EXPERT_ROLES:
        digests = sorted({row[f"{role}_expert"] for row in unspoiled if row[f"{role}_expert"]})
        of_role = [_row(role, digest, known.get(digest, {}), unspoiled) for digest in digests]
        found += sorted(of_role, key=lambda row: (row.draws, row.title))
    return found


def known_experts(jobs: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Return what the jobs of a store say of their experts, by digest."""
    known: dict[str, dict[str, Any]] = {}
    for job in jobs:
        counts = json.loads(job["counts"]) if isinstance(job["counts"], str) else job["counts"]
        known |= counts.get("experts", {})
    return known


def own_reasons(role: ExpertRole, reasons: Sequence[str]) -> list[str]:
    """Return the reasons that are about the image of a role."""
    return [reason for reason in reasons if re.split("[<>:]", reason)[0] in (*_COLUMNS[role], f"{role}_failed")]


def _row(role: ExpertRole, digest: str, known: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> ExpertRow:
    own = [row for row in rows if row[f"{role}_expert"] == digest]
    blamed = [own_reasons(role, row["reasons"]) for row in own]
    scores = {}
    for column in _COLUMNS[role]:
        values = [row[column] for row in own if row[column] is not None]
        if values:
            scores[column] = sum(values) / len(values)
    return ExpertRow(
        role=role,
        digest=digest,
        title=known.get("title", f"expert {digest[:8]}"),
        draws=known.get("draws", False),
        asked=len(own),
        failed=sum(any(reason.startswith(f"{role}_failed:") for reason in reasons) for reasons in blamed),
        accepted=sum(row["accepted"] for row in own),
        own=sum(not reasons for reasons in blamed),
        reasons=Counter(reason for reasons in blamed for reason in reasons).most_common(_TYPICAL),
        scores=scores,
    )
