"""The decision: a pure function of scores, failures and policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from curation.policy.rules import Policy
from workers.judges.base import UNPARSABLE

NOT_JUDGED = "not_judged"
"""Reason of a row that no rule rejects, and that lacks the verdict which one of them reads."""


def decide(row: Mapping[str, Any], policy: Policy) -> list[str]:
    """Return every reason for which a candidate is rejected; none means that it is accepted.

    `row` has the score columns, `layout` and `reasons`, of which only those that no policy can lift are kept. All
    rules are evaluated, so a row carries every reason. A rule on a score that was not measured does not fire: its
    absence has a reason of its own. What satisfies all else and was not judged, though a rule asks what the judge
    says, is rejected as `not_judged`.
    """
    reasons = hard_reasons(row["reasons"])
    unjudged = False
    for rule in policy.rules:
        if not rule.applies(row["layout"]):
            continue
        value = rule.value_in(row)
        unjudged |= rule.judged and value is None
        broken = rule.broken_by(value) if value is not None else None
        if broken is not None:
            reasons.append(broken)
    return reasons or ([NOT_JUDGED] if unjudged else [])


def hard_reasons(reasons: Sequence[str]) -> list[str]:
    """Return the reasons that no policy can lift: the candidate has no images, or no score, or repeats another.

    They read `<what>:<why>`, or are `judge_unparsable`; a rule's reason reads `<column><bound>`, and has no colon.
    """
    return [reason for reason in reasons if ":" in reason or reason == UNPARSABLE]
