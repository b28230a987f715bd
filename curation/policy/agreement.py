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
OTHERS: tuple[str, ...] = (SCORES, JUDGE, TRUTH)
"""Who has an opinion beside annotators."""

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

    def to_json(self) -> dict[str, Any]:
        """Return the agreement as plain values; null for what is not a number."""
        numbers = {key: value for key, value in vars(self).items() if isinstance(value, float)}
        return {**vars(self), **{key: None if np.isnan(value) else value for key, value in numbers.items()}}


def kappa(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Return Cohen's kappa of two opinions (Cohen 1960): agreement beyond chance, 1 at most.

    Not a number where there is nothing to agree on, or where chance alone would have them agree always: both say the
    same of every candidate.
    """
    return float(_kappas(_shares(first, second)[None, :])[0]) if len(first) else float("nan")


def _shares(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the shares of candidates that both take, the first alone, the second alone, and neither."""
    counts = [(first & second).sum(), (first & ~second).sum(), (~first & second).sum(), (~first & ~second).sum()]
    return np.array(counts, dtype=np.float64) / len(first)


def _kappas(shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return kappa for each row of shares `[tables, 4]`."""
    both, ours, theirs, neither = shares.T
    chance = (both + ours) * (both + theirs) + (theirs + neither) * (ours + neither)
    certain = np.isclose(chance, 1.0, rtol=0, atol=1e-12)
    return np.where(certain, np.nan, (both + neither - chance) / np.where(certain, 1.0, 1.0 - chance))


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
    """Return the 95 % interval of kappa: resampled candidates fall into the four shares as a multinomial draw does."""
    draws = np.random.default_rng(0).multinomial(len(first), _shares(first, second), size=_RESAMPLES)
    values = _kappas(draws / len(first))
    values = values[~np.isnan(values)]
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, [0.025, 0.975])
    return float(low), float(high)
