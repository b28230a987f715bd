"""Further attempts at candidates that failed: which ones, and what they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from curation.graph.rows import SCHEMA, Row, origin_of, to_table
from curation.spec.attempts import RouteSpec
from curation.spec.model import JobSpec
from manifests.identities import digest_of, seed_of
from manifests.resume import Held, committed
from manifests.tables import Table
from workers.experts.base import EXPERT_ROLES

_CHUNK = 1024


@dataclass(frozen=True)
class Round:
    """All candidates of one attempt, and which of them the manifest held when the round began."""

    attempt: int
    candidates: pa.Table
    held: Held

    @property
    def todo(self) -> pa.Table:
        """Return the candidates that are still to be made."""
        return self.candidates.filter(self.held.missing)


def rounds(proposed: pa.Table, triplets: Table, spec: JobSpec, *, policy: str) -> Iterator[Round]:
    """Yield the first attempts at some candidates, then the further ones, each round when the one before is committed.

    What a round holds follows from what is proposed and from what is committed, so a job that was cut off anywhere
    comes by the same rounds. `policy` is the digest of the policy that decides.
    """
    candidates = proposed
    for attempt in range(spec.attempts.most):
        if attempt:
            candidates = next_attempts(candidates, triplets, spec, attempt)
        if not candidates.num_rows:
            return
        yield Round(attempt, candidates, committed(triplets, candidates["candidate_id"], policy=policy))


def attempt_id(first: str, attempt: int, route: str) -> str:
    """Return the id of a further attempt: of the candidate that it is at, its number, and its route's digest."""
    return digest_of([first, attempt, route])


def route_digest(spec: JobSpec, route: RouteSpec) -> str:
    """Return the digest of what a route changes, with the weights and parameters of the experts that it names.

    An expert of no share is in no other digest, so other weights of it make other attempts.
    """
    named = {
        role: [entry.identity() for entry in spec.experts.of(role) if entry.name == route.expert(role)]
        for role in EXPERT_ROLES
        if route.expert(role) is not None
    }
    return digest_of([route.digest, named]) if named else route.digest


def next_attempts(tried: pa.Table, triplets: Table, spec: JobSpec, attempt: int) -> pa.Table:
    """Return the further attempts at candidates that were rejected, as a table with the schema of the graph.

    `tried` are the rows of the attempt before as they were proposed; what became of them is read from the manifest,
    so whoever asks, before or after an interruption, gets the same attempts. Rows that are not committed yet, that were
    accepted, or that no further attempt can help, are left out.
    """
    failed = _rejected(triplets, tried["candidate_id"], spec.attempts.route(attempt))
    open_ones = tried.filter(pc.is_in(tried["candidate_id"], value_set=pa.array(sorted(failed), pa.string())))
    parts = [SCHEMA.empty_table()]
    rows = _again(open_ones, spec, attempt)
    while chunk := list(islice(rows, _CHUNK)):
        parts.append(to_table(chunk))
    return pa.concat_tables(parts)


def _again(rows: pa.Table, spec: JobSpec, attempt: int) -> Iterator[Row]:
    digest = route_digest(spec, spec.attempts.route(attempt))  # once: it looks at the files of experts
    for batch in rows.to_batches(max_chunksize=_CHUNK):
        for row in batch.to_pylist():
            yield changed(row, spec, attempt, digest)


def changed(row: Row, spec: JobSpec, attempt: int, digest: str) -> Row:
    """Return a row as it was proposed, with another id, other seeds, and what the attempt's route changes.

    `digest` is that of the route.
    """
    route = spec.attempts.route(attempt)
    first = row["retries"] or row["candidate_id"]
    own = attempt_id(first, attempt, digest)
    again: dict[str, Any] = {
        **row,
        "candidate_id": own,
        "attempt": attempt,
        "route": route.name,
        "retries": first,
        "fault": None,  # faults are there to measure filters; an attempt is there to succeed
        "truth": None,
    }
    for role in EXPERT_ROLES:
        again[f"{role}_seed"] = seed_of(own, f"{role}/{spec.seed}")
        again[f"{role}_choice"] = route.expert(role)
    if route.prompt is not None and row["layout"] == "shifted":
        again["prompt"] = route.prompt.format(subject=origin_of(row, "target").spoken)
    return again


def _rejected(triplets: Table, wanted: pa.ChunkedArray, route: RouteSpec) -> set[str]:
    """Return which of some candidates were rejected for reasons that the route takes."""
    ids = wanted.combine_chunks()
    failed: set[str] = set()
    for batch in triplets.batches(["candidate_id", "accepted", "reasons"]):
        mine = batch.filter(pc.is_in(batch["candidate_id"].cast(pa.string()), value_set=ids))
        for row in mine.to_pylist():
            if not row["accepted"] and route.takes(tuple(row["reasons"])):
                failed.add(row["candidate_id"])
    return failed
