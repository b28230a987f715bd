"""What another policy would change in a committed manifest; no image is looked at again."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from curation.policy.decide import decide
from curation.policy.rules import Policy
from manifests.records import JUDGED, SCORES

COLUMNS = (
    "candidate_id",
    "accepted",
    "reasons",
    "layout",
    "split",
    "subject",
    "style",
    *SCORES,
    *JUDGED,
    "judge_layout",
)
"""What a decision reads of `triplets`, and what a person wants to see beside it."""


@dataclass(frozen=True)
class Change:
    """A candidate on which the policies differ."""

    candidate_id: str
    subject: str
    style: str
    layout: str
    accepted_before: bool
    accepted_after: bool
    reasons_before: list[str]
    reasons_after: list[str]


@dataclass
class Comparison:
    """Two policies side by side on one manifest."""

    candidates: int = 0
    accepted_before: int = 0
    accepted_after: int = 0
    reasons_before: Counter[str] = field(default_factory=Counter)
    reasons_after: Counter[str] = field(default_factory=Counter)
    changes: list[Change] = field(default_factory=list)
    unmeasured: list[str] = field(default_factory=list)
    """What the policy's rules read and no candidate has: such rules reject nobody."""


def compare(table: pa.Table, policy: Policy) -> Comparison:
    """Return what a policy decides on the rows of `triplets`, beside what was decided."""
    comparison = Comparison()
    found: set[str] = set()
    for row in _rows(table):
        found.update(rule.column for rule in policy.rules if rule.value_in(row) is not None)
        after = decide(row, policy)
        comparison.candidates += 1
        comparison.accepted_before += row["accepted"]
        comparison.accepted_after += not after
        comparison.reasons_before.update(row["reasons"])
        comparison.reasons_after.update(after)
        if row["accepted"] != (not after):
            comparison.changes.append(
                Change(
                    row["candidate_id"],
                    row["subject"],
                    row["style"],
                    row["layout"],
                    row["accepted"],
                    not after,
                    row["reasons"],
                    after,
                )
            )
    comparison.unmeasured = sorted({rule.column for rule in policy.rules} - found)
    return comparison


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    for batch in table.to_batches(max_chunksize=8192):
        yield from batch.to_pylist()
