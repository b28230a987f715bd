"""How far the scores of one job lie from those of the job before it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from manifests.audit.commits import job_of
from manifests.audit.ledger import Ledger
from manifests.records import JUDGED, SCORES

MODERATE, LARGE = 0.1, 0.25
"""Population stability indices from which a shift is called moderate, and large (Siddiqi 2006, chapter 8)."""

FEWEST = 50
"""Rows of a job below which its scores are not compared."""

_COLUMNS = (*SCORES, *JUDGED)
_BINS = 1024
_PARTS = 10
_RARE = 21.67
"""What a chi-square variable of nine degrees of freedom exceeds once in a hundred times."""

Counts = NDArray[np.int64]


@dataclass(frozen=True)
class Drift:
    """One score in two jobs that follow one another."""

    score: str
    before: str
    after: str
    rows_before: int
    rows_after: int
    mean_before: float
    mean_after: float
    psi: float
    """Population stability index over tenths of the earlier job: sum of (p - q) ln(p / q)."""

    ks: float
    """Largest distance of the two distribution functions (Kolmogorov and Smirnov), to 1/1024 of the score's range."""

    @property
    def chance(self) -> float:
        """Return the index that two samples of one distribution exceed once in a hundred times.

        It is (1/n + 1/m) times a chi-square variable then (Yurdakul and Naranjo 2020): small jobs differ by chance.
        """
        return _RARE * (1 / self.rows_before + 1 / self.rows_after)

    @property
    def verdict(self) -> str:
        """Return `stable`, `moderate` or `large`; what may be chance is stable."""
        if self.psi < max(MODERATE, self.chance):
            return "stable"
        return "moderate" if self.psi < LARGE else "large"


def drifts(ledger: Ledger) -> list[Drift]:
    """Return every score of every job beside that of the job before; rows that no job's record covers are left out."""
    names = _number_jobs(ledger)
    if len(names) < 2:
        return []
    facts = _facts(ledger)
    found = []
    for score in _bin(ledger, facts):
        counts = _histograms(ledger, score, len(names))
        present = [job for job in range(len(names)) if counts[job].sum() >= FEWEST]
        for before, after in pairwise(present):
            first, second = counts[before], counts[after]
            sizes = (int(first.sum()), int(second.sum()))
            apart = (stability_index(first, second), distance(first, second))
            both = (names[before], names[after], *sizes, facts[before][f"{score}_mean"], facts[after][f"{score}_mean"])
            found.append(Drift(score, *both, *(round(value, 4) for value in apart)))
    return found


def stability_index(first: Counts, second: Counts) -> float:
    """Return the population stability index of two histograms over the same bins, over tenths of the first.

    Half a row is added to every tenth, so that an empty one does not make it infinite.
    """
    total = first.cumsum() / first.sum()
    part = np.minimum((np.concatenate([[0.0], total[:-1]]) * _PARTS).astype(int), _PARTS - 1)
    shares = []
    for counts in (first, second):
        grouped = np.bincount(part, weights=counts, minlength=_PARTS) + 0.5
        shares.append(grouped / grouped.sum())
    p, q = shares
    return float(np.sum((p - q) * np.log(p / q)))


def distance(first: Counts, second: Counts) -> float:
    """Return the largest distance of two distribution functions, given as histograms over the same bins."""
    apart = first.cumsum() / first.sum() - second.cumsum() / second.sum()
    return float(np.abs(apart).max())


def _number_jobs(ledger: Ledger) -> list[str]:
    """Put the job of every commit into the temporary table `made_by`, and return the jobs' ids by number."""
    jobs = ledger.jobs
    numbers = {job["job_id"]: number for number, job in enumerate(jobs)}
    pairs = []
    for commit in ledger.commits:
        job = job_of(commit, jobs)
        if commit.digest and job is not None:
            pairs.append(f"(hash('{commit.previous}'), {numbers[job['job_id']]})")
    values = f"(VALUES {', '.join(pairs)})" if pairs else "(SELECT 0, 0 WHERE false)"
    ledger.run(f"CREATE OR REPLACE TEMP TABLE made_by AS SELECT * FROM {values} AS pairs(key, job)")
    return list(numbers)


def _facts(ledger: Ledger) -> dict[int, dict[str, Any]]:
    """Return the lowest, highest and mean value of every score, by job."""
    asked = "".join(
        f", min({name}) AS {name}_low, max({name}) AS {name}_high, round(avg({name}), 4) AS {name}_mean"
        for name in _COLUMNS
    )
    rows = ledger.rows(f"SELECT job{asked} FROM ({_rows_of_jobs(ledger)}) GROUP BY job")
    return {row["job"]: row for row in rows}


def _bin(ledger: Ledger, facts: dict[int, dict[str, Any]]) -> list[str]:
    """Put every row's job, and the bins of its scores, into the temporary table `binned`; return what was measured."""
    measured, bins = [], ""
    for name in _COLUMNS:
        known = [row for row in facts.values() if row[f"{name}_low"] is not None]
        if not known:
            continue
        measured.append(name)
        low = float(min(row[f"{name}_low"] for row in known))
        width = (float(max(row[f"{name}_high"] for row in known)) - low) / _BINS or 1.0
        bin_of = f"least(floor(({name} - {low!r}) / {width!r}), {_BINS - 1})::USMALLINT"
        bins += f", CASE WHEN {name} IS NOT NULL THEN {bin_of} END AS {name}"
    ledger.run(f"CREATE OR REPLACE TEMP TABLE binned AS SELECT job{bins} FROM ({_rows_of_jobs(ledger)})")
    return measured


def _rows_of_jobs(ledger: Ledger) -> str:
    columns = ", ".join(_COLUMNS)
    return f"SELECT job, {columns} FROM ({ledger.triplets.select()}) JOIN made_by ON hash(follows) = made_by.key"


def _histograms(ledger: Ledger, score: str, jobs: int) -> list[Counts]:
    rows = ledger.arrow(
        f"SELECT job, {score} AS bin, count(*) AS n FROM binned WHERE {score} IS NOT NULL GROUP BY 1, 2"
    )
    job, place, n = (rows[name].to_numpy() for name in ("job", "bin", "n"))
    counts = np.zeros((jobs, _BINS), np.int64)
    counts[job, place] = n
    return list(counts)
