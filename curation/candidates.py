"""Proposing candidates: which triplets are tried for which target, and which of them are spoiled on purpose."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from curation.graph.rows import SCHEMA, Row, to_table
from curation.spec.experts import ExpertsSpec, RetrievalSpec
from curation.spec.model import FaultSpec, JobSpec
from manifests.identities import candidate_id, seed_of
from manifests.images import ImageRef
from manifests.records import Layout
from workers.experts.base import EXPERT_ROLES, ExpertRole
from workers.experts.choice import choose_expert
from workers.experts.faults import GOOD, SPOILED_BY, applies

_CHUNK = 1024

LAYOUTS: tuple[Layout, ...] = ("preserved", "shifted")


@dataclass(frozen=True)
class IngestedTarget:
    """A target as ingest left it: with an asset id, or refused; and what it repeats, if anything."""

    ref: ImageRef
    ref_id: str
    asset_id: str | None
    refused: str | None = None
    detail: str | None = None
    duplicate_of: str | None = None


@dataclass(frozen=True)
class Digests:
    """Digests that every row of a job carries."""

    generation: str
    scoring: str
    policy: str


def propose(targets: Sequence[IngestedTarget], spec: JobSpec, digests: Digests) -> Iterator[Row]:
    """Yield a row for every candidate of these targets, each target's together.

    Targets that were refused or repeat another are proposed too, rejected from the start: nothing is dropped. Their
    candidates are named after the target's reference, since a copy has the asset id of what it repeats.
    """
    counts: Mapping[Layout, int] = {"preserved": spec.layouts.preserved, "shifted": spec.layouts.shifted}
    for target in targets:
        for layout in LAYOUTS:
            for index in range(counts[layout]):
                yield _candidate(target, layout, index, spec, digests)


def _candidate(target: IngestedTarget, layout: Layout, index: int, spec: JobSpec, digests: Digests) -> Row:
    own = target.asset_id if target.asset_id and not target.duplicate_of else target.ref_id
    identity = candidate_id(own, layout, index, digests.generation)
    known = retrieved_roles(spec.experts, identity)
    fault = draw_fault(spec.faults, layout, seed=seed_of(identity, f"fault/{spec.seed}"), roles=known)
    reasons, errors = [], []
    if target.refused is not None:
        reasons = [f"ingest:{target.refused}"]
        errors = [f"ingest:{target.refused}: {target.detail}"]
    elif target.duplicate_of is not None:
        reasons = [f"duplicate_of:{target.duplicate_of}"]
    good = GOOD if len(known) == len(EXPERT_ROLES) else None  # of a drawn image nobody knows whether it is good
    truth = (fault or good) if spec.faults.share > 0 and not reasons else None
    return {
        "candidate_id": identity,
        "accepted": False,
        "reasons": reasons,
        "errors": errors,
        "layout": layout,
        "index": index,
        "split": target.ref.split,
        "prompt": spec.prompt.format(subject=target.ref.spoken) if layout == "shifted" else "",
        "target_id": target.asset_id,
        "target_ref": target.ref_id,
        "subject": target.ref.subject,
        "style": target.ref.style,
        "licences": [],
        "duplicate_of": target.duplicate_of,
        "skipped": [],
        "generation_digest": digests.generation,
        "scoring_digest": digests.scoring,
        "policy_digest": digests.policy,
        "stylize_seed": seed_of(identity, f"stylize/{spec.seed}"),
        "destylize_seed": seed_of(identity, f"destylize/{spec.seed}"),
        "truth": truth,
        "target_origin": target.ref.model_dump_json(),
        "fault": fault,
    }


def retrieved_roles(experts: ExpertsSpec, candidate: str) -> list[ExpertRole]:
    """Return the roles whose expert takes this candidate's image from a source, rather than drawing it."""
    return [
        role
        for role in EXPERT_ROLES
        if isinstance(experts.of(role)[choose_expert(candidate, role, experts.shares(role))], RetrievalSpec)
    ]


def draw_fault(
    spec: FaultSpec, layout: Layout, *, seed: int, roles: Collection[ExpertRole] = EXPERT_ROLES
) -> str | None:
    """Return the fault that a candidate is to be spoiled with, or None; decided by its seed alone.

    Only faults that the experts of `roles` commit are drawn.
    """
    rng = np.random.default_rng(seed)
    kinds = [kind for kind in spec.kinds if applies(kind, layout) and SPOILED_BY[kind] in roles]
    if not kinds or rng.random() >= spec.share:
        return None
    return str(kinds[int(rng.integers(len(kinds)))])


def proposals(targets: Sequence[IngestedTarget], spec: JobSpec, digests: Digests) -> pa.Table:
    """Return all candidates of these targets as a table with the schema of the graph, each id once.

    Arrow rather than rows, since a job holds all of its candidates at once: a tenth of the memory.
    """
    seen: set[str] = set()
    parts = [SCHEMA.empty_table()]
    rows = propose(targets, spec, digests)
    while chunk := list(islice(rows, _CHUNK)):
        fresh = [row for row in chunk if row["candidate_id"] not in seen and not seen.add(row["candidate_id"])]  # type: ignore[func-returns-value]
        parts.append(to_table(fresh))
    return pa.concat_tables(parts)


def in_shard_order(candidates: pa.Table) -> pa.Table:
    """Return candidates in the order in which shards are filled: training first, then by target, layout and index.

    Target ids are hashes, so this shuffles subjects and styles over all shards, and does so alike in every run.
    """
    target = pc.coalesce(candidates["target_id"], candidates["target_ref"])
    keyed = candidates.append_column("_target", target)
    order = [("split", "descending"), ("_target", "ascending"), ("layout", "ascending"), ("index", "ascending")]
    return candidates.take(pc.sort_indices(keyed, sort_keys=order))
