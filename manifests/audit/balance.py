"""Whether a data set is balanced: who and what is in it how often, what was capped, what drifted, what repeats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from manifests.audit.drift import Drift, drifts
from manifests.audit.hexadecimal import bytes_of
from manifests.audit.ledger import Ledger
from manifests.audit.licences import key_of
from manifests.audit.near_duplicates import Bits, clusters

TOO_LARGE = 0.2
"""Share of one subject or source image of the accepted triplets from which it is a finding."""

DISTANCE = 10
"""Differing bits of the perceptual hash up to which targets are near-duplicates; as ingest has it by default."""

_SHOWN_CLUSTERS = 10
_SHOWN_MEMBERS = 5


@dataclass(frozen=True)
class Spread:
    """How accepted triplets are spread over the values of one column."""

    column: str
    values: int
    effective: float
    """Inverse Simpson index: how many equally large values would be as diverse (Hill 1973, order 2)."""

    largest: Sequence[tuple[str, int, float]]
    """The largest values: name, triplets, share."""


@dataclass(frozen=True)
class Cap:
    """A limit that a job set, and how often it was reached."""

    what: str
    limit: int | None
    hit: int
    job: str | None


@dataclass(frozen=True)
class Cluster:
    """Targets that look alike: how many, and some of them."""

    targets: int
    triplets: int
    members: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Balance:
    """What a store says of its balance at one version."""

    root: str
    version: int
    candidates: int
    accepted: int
    spreads: Sequence[Spread]
    caps: Sequence[Cap]
    drift: Sequence[Drift]
    hashed_targets: int
    near_duplicate_clusters: int
    near_duplicate_targets: int
    clusters: Sequence[Cluster]
    full_buckets: int
    findings: Sequence[str]


def balance(ledger: Ledger, *, distance: int = DISTANCE, shown: int = 10, too_large: float = TOO_LARGE) -> Balance:
    """Return how a store's accepted triplets are spread, capped, repeated, and how scores drift between its jobs."""
    total = ledger.rows(
        f"SELECT count(*) AS n, count(*) FILTER (accepted) AS accepted FROM ({ledger.triplets.select()})"
    )[0]
    targets = _Targets(ledger)
    accepted = total["accepted"]
    spreads = [_spread(ledger, column, accepted, shown) for column in ("subject", "style")]
    drift = drifts(ledger)
    keys, packed = targets.hashed()
    found = clusters(packed, max_distance=distance)
    groups = [keys[group] for group in found.members[:_SHOWN_CLUSTERS]]
    some = [sorted(group.tolist())[:_SHOWN_MEMBERS] for group in groups]
    most = targets.largest(shown)
    names = targets.known([key for key, _ in most] + [key for members in some for key in members])
    shares = [(_named(names[key]), count, round(count / accepted, 6)) for key, count in most]
    spreads.append(Spread("target", *_diversity(ledger, "targets", accepted), shares))
    findings = [
        f"{share:.1%} of the accepted triplets have the {spread.column} {name}"
        for spread in spreads
        for name, _, share in spread.largest
        if share > too_large and spread.values > 1
    ]
    findings += [
        f"{one.score} drifted from job {one.before} to {one.after}: PSI {one.psi:.2f}, KS {one.ks:.2f}"
        for one in drift
        if one.verdict == "large"
    ]
    alike = sum(map(len, found.members))
    if alike:
        findings.append(f"{alike:,} targets are near-duplicates of one another, in {len(found.members):,} clusters")
    return Balance(
        root=ledger.root,
        version=ledger.version,
        candidates=total["n"],
        accepted=accepted,
        spreads=spreads,
        caps=_caps(ledger),
        drift=drift,
        hashed_targets=len(keys),
        near_duplicate_clusters=len(found.members),
        near_duplicate_targets=alike,
        clusters=[
            Cluster(len(group), targets.triplets(group), [names[key] for key in members])
            for group, members in zip(groups, some, strict=True)
        ],
        full_buckets=found.full_buckets,
        findings=findings,
    )


def _named(target: Mapping[str, str]) -> str:
    return f"{target['target_ref'][:12]} ({target['subject']}, {target['style']})"


class _Targets:
    """The targets of accepted triplets: how often each is used, and what is known of it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        ledger.run(
            f"CREATE OR REPLACE TEMP TABLE targets AS SELECT {key_of('target_ref')} AS key, count(*) AS n "
            f"FROM ({ledger.triplets.select()}) WHERE accepted GROUP BY 1"
        )

    def hashed(self) -> tuple[NDArray[np.uint64], Bits]:
        """Return the keys of the targets that have a perceptual hash, and the hashes."""
        rows = self._ledger.arrow(
            f"SELECT {key_of('ref_id')} AS key, perceptual_hash FROM ({self._ledger.assets.select()}) "
            f"WHERE perceptual_hash IS NOT NULL AND {key_of('ref_id')} IN (SELECT key FROM targets)"
        )
        return rows["key"].to_numpy(), bytes_of(rows["perceptual_hash"])

    def largest(self, count: int) -> list[tuple[int, int]]:
        """Return the keys of the targets that stand in most triplets, and in how many."""
        rows = self._ledger.rows(f"SELECT key, n FROM targets ORDER BY n DESC, key LIMIT {int(count)}")
        return [(row["key"], row["n"]) for row in rows]

    def triplets(self, keys: NDArray[np.uint64]) -> int:
        """Return in how many accepted triplets targets stand."""
        listed = ", ".join(map(str, keys.tolist()))
        return int(self._ledger.rows(f"SELECT sum(n)::BIGINT AS n FROM targets WHERE key IN ({listed})")[0]["n"])

    def known(self, keys: Sequence[int]) -> dict[int, dict[str, str]]:
        """Return reference, subject and style of some targets by key, in one pass over the triplets."""
        if not keys:
            return {}
        columns = ("target_ref", "subject", "style")
        rows = self._ledger.rows(
            f"SELECT {key_of('target_ref')} AS key, {', '.join(f'min({name}) AS {name}' for name in columns)} "
            f"FROM ({self._ledger.triplets.select()}) "
            f"WHERE accepted AND {key_of('target_ref')} IN ({', '.join(map(str, keys))}) GROUP BY key"
        )
        return {row.pop("key"): row for row in rows}


def _spread(ledger: Ledger, column: str, accepted: int, shown: int) -> Spread:
    ledger.run(
        f"CREATE OR REPLACE TEMP TABLE spread AS SELECT {column} AS value, count(*) AS n "
        f"FROM ({ledger.triplets.select()}) WHERE accepted GROUP BY 1"
    )
    largest = ledger.rows(f"SELECT value, n FROM spread ORDER BY n DESC, value LIMIT {int(shown)}")
    shares = [(row["value"], row["n"], round(row["n"] / accepted, 6)) for row in largest]
    return Spread(column, *_diversity(ledger, "spread", accepted), shares)


def _diversity(ledger: Ledger, table: str, accepted: int) -> tuple[int, float]:
    """Return how many values a temporary table of counts has, and how many equally large ones were as diverse."""
    whole = ledger.rows(f"SELECT count(*) AS n, sum(n::DOUBLE * n) AS squares FROM {table}")[0]
    return whole["n"], round(accepted**2 / whole["squares"], 1) if whole["squares"] else 0.0


def _caps(ledger: Ledger) -> list[Cap]:
    """Return the limits that jobs set on targets and repetitions, and candidates that were rejected for a cap."""
    caps = []
    known: set[tuple[str, int]] = set()
    for job in ledger.jobs:
        spec = yaml.load(job["spec"], Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)) or {}
        limit = (spec.get("targets") or {}).get("per_subject")
        if limit and (job["generation_digest"], limit) not in known:
            known.add((job["generation_digest"], limit))
            sql = (
                f"SELECT count(*) AS n FROM (SELECT subject FROM ({ledger.triplets.select()}) "
                "WHERE generation_digest = $digest GROUP BY subject "
                f"HAVING count(DISTINCT {key_of('target_ref')}) >= $limit)"
            )
            hit = ledger.rows(sql, {"digest": job["generation_digest"], "limit": limit})[0]["n"]
            caps.append(Cap("subjects with as many targets as targets.per_subject allows", limit, hit, job["job_id"]))
    reasons = ledger.rows(
        "SELECT split_part(reason, ':', 1) AS reason, count(*) AS n FROM "
        f"(SELECT unnest(reasons) AS reason FROM ({ledger.triplets.select()}) WHERE NOT accepted) "
        "WHERE starts_with(reason, 'cap') OR starts_with(reason, 'duplicate_of') GROUP BY 1 ORDER BY 1"
    )
    return caps + [Cap(f"candidates rejected for {row['reason']}", None, row["n"], None) for row in reasons]
