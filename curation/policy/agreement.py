"""How far those who judge candidates agree: scores by their policy, the judge, annotators, and the truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from curation.policy.rules import Policy, Rule
from manifests.records import EMBEDDED, JUDGED
from workers.experts.faults import GOOD

SCORES, JUDGE, TRUTH = "scores", "judge", "truth"

DEFAULT_JUDGE = Policy(rules=tuple(Rule(column=column.replace("judge_", "judge.", 1), min=3) for column in JUDGED))
"""What a judge counts as having accepted, where the policy has no rule on its verdicts: 3 of 4 in every part."""

_RESAMPLES = 2000

Opinion = Mapping[str, bool]
"""What one of them says of candidates, by id: good or not."""


@dataclass(frozen=True)
class Agreement:
    """Two opinions on the candidates that both have seen."""

    first: str
    second: str
    candidates: int
    observed: float
    """Share of candidates on which they agree."""
    kappa: float
    low: float
    high: float
    """95 % interval of kappa, over candidates (percentile bootstrap)."""


def kappa(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Return Cohen's kappa of two opinions (Cohen 1960): agreement beyond chance, 1 at most.

    Not a number where there is nothing to agree on, or where chance alone would have them agree always: both say the
    same of every candidate.
    """
    if not len(first):
        return float("nan")
    observed = float((first == second).mean())
    a, b = float(first.mean()), float(second.mean())
    chance = a * b + (1 - a) * (1 - b)
    return (observed - chance) / (1 - chance) if chance < 1 else float("nan")


def agreements(opinions: Mapping[str, Opinion]) -> list[Agreement]:
    """Return the agreement of every pair that has candidates in common."""
    found = []
    for (first, ours), (second, theirs) in combinations(opinions.items(), 2):
        common = sorted(ours.keys() & theirs.keys())
        if common:
            a, b = (np.array([opinion[key] for key in common], dtype=bool) for opinion in (ours, theirs))
            found.append(Agreement(first, second, len(common), float((a == b).mean()), kappa(a, b), *_interval(a, b)))
    return found


def opinions(
    rows: Sequence[Mapping[str, Any]], policy: Policy, annotators: Mapping[str, Opinion]
) -> dict[str, Opinion]:
    """Return all opinions on the rows of `triplets`; those that nobody has are left out."""
    scored = Policy(rules=tuple(rule for rule in policy.rules if not rule.judged))
    judged = Policy(rules=tuple(rule for rule in policy.rules if rule.judged))
    found: dict[str, Opinion] = {
        SCORES: {
            row["candidate_id"]: _passes(row, scored)
            for row in rows
            if all(row[column] is not None for column in EMBEDDED)
        },
        JUDGE: {
            row["candidate_id"]: _passes(row, judged if judged.rules else DEFAULT_JUDGE)
            for row in rows
            if row[JUDGED[0]] is not None
        },
        TRUTH: {row["candidate_id"]: row["truth"] == GOOD for row in rows if row["truth"] is not None},
        **annotators,
    }
    return {name: opinion for name, opinion in found.items() if opinion}


def _passes(row: Mapping[str, Any], policy: Policy) -> bool:
    for rule in policy.rules:
        value = rule.value_in(row) if rule.applies(row["layout"]) else None
        if value is not None and rule.broken_by(value) is not None:
            return False
    return True


def _interval(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> tuple[float, float]:
    rng = np.random.default_rng(0)
    draws = (rng.integers(0, len(first), len(first)) for _ in range(_RESAMPLES))
    values = np.array([kappa(first[chosen], second[chosen]) for chosen in draws])
    values = values[~np.isnan(values)]
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
