"""The rules that decided on a candidate, read back from the spec of its job and held against its row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from manifests.identities import digest_of

_LAYOUT_MATCH = "judge.layout_match"


@dataclass(frozen=True)
class RuleThen:
    """One bound on one column, as a job's spec had it."""

    column: str
    min: float | None
    max: float | None
    layout: str | None

    def value_in(self, row: Mapping[str, Any]) -> float | None:
        """Return what the rule reads of a row of `triplets`; None where it was not measured."""
        if self.column == _LAYOUT_MATCH:
            seen = row.get("judge_layout")
            return None if seen is None else float(seen == row["layout"])
        value: float | None = row.get(self.column.replace(".", "_"))
        return value

    def broken_by(self, value: float) -> str | None:
        """Return the reason that a value gives, as it stands in the column `reasons`; None where it is kept."""
        if self.min is not None and value < self.min:
            return f"{self.column}<{self.min:g}"
        if self.max is not None and value > self.max:
            return f"{self.column}>{self.max:g}"
        return None

    def __str__(self) -> str:
        low = f"{self.min:g} <= " if self.min is not None else ""
        high = f" <= {self.max:g}" if self.max is not None else ""
        return f"{low}{self.column}{high}" + (f" (layout {self.layout} only)" if self.layout else "")


@dataclass(frozen=True)
class RuleOutcome:
    """What came of one rule on one candidate."""

    rule: str
    column: str
    min: float | None
    max: float | None
    value: float | None
    outcome: str
    """`kept`, `broken`, `does not apply` (another layout) or `not measured`."""
    reason: str | None


def rules_of(digest: str, jobs: Sequence[Mapping[str, Any]]) -> list[RuleThen] | None:
    """Return the rules whose digest a row carries, out of the specs of the store's jobs; None where no job has them.

    The digest is computed from the rules found, so they are certainly those that decided.
    """
    for job in reversed(jobs):
        rules = policy_in(str(job["spec"]))
        if digest_of(rules) == digest:
            return [
                RuleThen(rule["column"], rule.get("min"), rule.get("max"), (rule.get("when") or {}).get("layout"))
                for rule in rules
            ]
    return None


def policy_in(spec: str) -> list[dict[str, Any]]:
    """Return the rules of a job's spec as they stand there; none where the text is no spec."""
    loaded = yaml.load(spec, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    policy = loaded.get("policy") if isinstance(loaded, dict) else None
    rules = policy.get("rules") if isinstance(policy, dict) else None
    return [rule for rule in rules or [] if isinstance(rule, dict) and "column" in rule]


def outcome_of(rule: RuleThen, row: Mapping[str, Any]) -> RuleOutcome:
    """Return what a rule says of a row."""
    value = rule.value_in(row)
    reason = None
    if rule.layout is not None and rule.layout != row["layout"]:
        outcome = "does not apply"
    elif value is None:
        outcome = "not measured"
    else:
        reason = rule.broken_by(value)
        outcome = "kept" if reason is None else "broken"
    return RuleOutcome(str(rule), rule.column, rule.min, rule.max, value, outcome, reason)
