"""Whether a data set is balanced: who and what is in it how often, what was capped, what drifted, what repeats."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from manifests.audit.drift import Drift, drifts
from manifests.audit.ledger import Ledger
from manifests.audit.licences import key_of
from manifests.audit.near_duplicates import Bits, clusters, packed_of

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
    spreads = [_spread(ledger, column, total["accepted"], shown) for column in ("subject", "style", "target_ref")]
    drift = drifts(ledger)
    keys, packed = _hashed_targets(ledger)
    found = clusters(packed, max_distance=distance)
    findings = [
        f"{share:.1%} of the accepted triplets have the {_WORDS[spread.column]} {name}"
        for spread in spreads
        for name, _, share in spread.largest
        if share > too_large and spread.values > 1
    ]
    findings += [
        f"{one.score} drifted from job {one.before} to {one.after}: PSI {one.psi:.2f}, KS {one.ks:.2f}"
        for one in drift
        if one.verdict == "large"
    ]
    members = found.members
    if members:
        findings.append(
            f"{sum(map(len, members)):,} targets are near-duplicates of one another, in {len(members):,} clusters"
        )
    return Balance(
        root=ledger.root,
        version=ledger.version,
        candidates=total["n"],
        accepted=total["accepted"],
        spreads=spreads,
        caps=_caps(ledger),
        drift=drift,
        hashed_targets=len(keys),
        near_duplicate_clusters=len(members),
        near_duplicate_targets=sum(map(len, members)),
        clusters=[_cluster(ledger, keys[group]) for group in members[:_SHOWN_CLUSTERS]],
        full_buckets=found.full_buckets,
        findings=findings,
    )


_WORDS = {"subject": "subject", "style": "style", "target_ref": "target"}


def _spread(ledger: Ledger, column: str, accepted: int, shown: int) -> Spread:
    key = key_of(column) if column.endswith("_ref") else column
    ledger.run(
        f"CREATE OR REPLACE TEMP TABLE spread AS SELECT {key} AS value, count(*) AS n "
        f"FROM ({ledger.triplets.select()}) WHERE accepted GROUP BY 1"
    )
    whole = ledger.rows("SELECT count(*) AS n, sum(n::DOUBLE * n) AS squares FROM spread")[0]
    largest = ledger.rows(f"SELECT value, n FROM spread ORDER BY n DESC, value LIMIT {int(shown)}")
    names = [_name(row["value"]) for row in largest]
    shares = [(name, row["n"], round(row["n"] / accepted, 6)) for name, row in zip(names, largest, strict=True)]
    effective = accepted**2 / whole["squares"] if whole["squares"] else 0.0
    return Spread(column, whole["n"], round(effective, 1), shares)


def _name(value: str | int | None) -> str:
    """Return a value as text; of a reference's first 64 bits, its first digits."""
    return f"{value:016x}" if isinstance(value, int) else str(value)


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


def _hashed_targets(ledger: Ledger) -> tuple[NDArray[np.uint64], Bits]:
    """Return the keys of the targets of accepted triplets that have a perceptual hash, and the hashes."""
    ledger.run(
        f"CREATE OR REPLACE TEMP TABLE targets AS SELECT {key_of('target_ref')} AS key, count(*) AS n "
        f"FROM ({ledger.triplets.select()}) WHERE accepted GROUP BY 1"
    )
    rows = ledger.arrow(
        f"SELECT {key_of('ref_id')} AS key, perceptual_hash FROM ({ledger.assets.select()}) "
        f"WHERE perceptual_hash IS NOT NULL AND {key_of('ref_id')} IN (SELECT key FROM targets)"
    )
    return rows["key"].to_numpy(), packed_of(rows["perceptual_hash"])


def _cluster(ledger: Ledger, keys: NDArray[np.uint64]) -> Cluster:
    listed = ", ".join(map(str, keys.tolist()))
    triplets = ledger.rows(f"SELECT sum(n)::BIGINT AS n FROM targets WHERE key IN ({listed})")[0]["n"]
    some = [f"{key:016x}" for key in sorted(keys.tolist())[:_SHOWN_MEMBERS]]
    files = ledger.index.files(ledger.assets, ["ref_id"], some)
    members = ledger.rows(
        f"SELECT asset_id, subject, style, source, locator FROM ({ledger.assets.select(files)}) "
        "WHERE list_contains($some, substr(ref_id, 1, 16)) ORDER BY ref_id",
        {"some": some},
    )
    return Cluster(len(keys), triplets, members)
