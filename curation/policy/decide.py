"""The decision: a pure function of scores, failures and policy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from curation.policy.rules import Policy


def decide(row: Mapping[str, Any], policy: Policy) -> list[str]:
    """Return every reason for which a candidate is rejected; none means that it is accepted.

    `row` has the score columns, `layout` and `reasons`, of which only those that no policy can lift are kept. All
    rules are evaluated, so a row carries every reason. A rule on a score that was not measured does not fire: its
    absence has a reason of its own.
    """
    reasons = hard_reasons(row["reasons"])
    for rule in policy.rules:
        value = row.get(rule.column)
        if value is None or not rule.applies(row["layout"]):
            continue
        broken = rule.broken_by(value)
        if broken is not None:
            reasons.append(broken)
    return reasons


def hard_reasons(reasons: Sequence[str]) -> list[str]:
    """Return the reasons that no policy can lift: the candidate has no images, or no score, or repeats another.

    They read `<what>:<why>`; a rule's reason reads `<column><bound>`, and has no colon.
    """
    return [reason for reason in reasons if ":" in reason]
