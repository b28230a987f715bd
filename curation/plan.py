"""What a job would do, before it does it: stages, candidates, and the time and bytes that a small sample foretells."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from curation.attempts import changed, route_digest
from curation.candidates import Digests, IngestedTarget, propose
from curation.capacity import demand
from curation.context import (
    destylize_stage,
    gallery_of,
    load_stage,
    reference_bank,
    score_stage,
    stylize_stage,
)
from curation.graph.ingest_graph import IngestWorker
from curation.graph.rows import Row, is_open, to_table
from curation.graph.stage import Stage
from curation.job import plan_targets
from curation.spec.model import JobSpec
from curation.spec.stages import StageSpec
from manifests.images import ImageRef
from manifests.records import ROLES
from workers.experts.base import EXPERT_ROLES

_T = TypeVar("_T")
_SAMPLE = 12
_STARTUP_SECONDS = 15.0


@dataclass(frozen=True)
class StagePlan:
    """One stage: what it may use, and how long it takes for a candidate."""

    name: str
    resources: StageSpec
    milliseconds: float


@dataclass(frozen=True)
class Worst:
    """What a job would do if every attempt but the last failed."""

    attempts: int
    candidates: int
    seconds: float
    cost: float


@dataclass(frozen=True)
class Plan:
    """What a job would do."""

    targets: int
    styles: int
    subjects: int
    heldout_targets: int
    candidates: int
    shard_batches: int
    stages: list[StagePlan]
    cpus: int
    cpus_held: float
    gpus_held: float
    seconds: float
    bytes: int
    cost: float
    """Of the images that endpoints draw, by the prices that the spec states."""
    refused_in_sample: int
    sampled: int
    worst: Worst


def make_plan(spec: JobSpec, limit: int | None = None) -> Plan:
    """Return the plan of a job: lists its targets, and runs a dozen of them through the stages in this process.

    Time assumes that the stages share the cores evenly; bytes assume that every candidate is accepted. No endpoint is
    asked, since answers cost money: retrieval stands for it, also in the times. The worst
    case takes every further attempt, each by its route, with the times of the experts that the route names.
    """
    refs = plan_targets(spec, limit)
    each = spec.layouts.preserved + spec.layouts.shifted
    step = max(1, len(refs) // _SAMPLE)
    timed, routed, size, refused, sampled = _sample(spec, refs[::step][:_SAMPLE])
    cores = spec.ray.cpus or os.cpu_count() or 1
    candidates = len(refs) * each
    per_candidate = sum(stage.milliseconds for stage in timed) / 1000
    held = demand(spec)
    routes = [spec.attempts.route(attempt) for attempt in range(1, spec.attempts.most)]
    price = spec.experts.price()
    prices = [price, *(spec.experts.price({role: route.expert(role) for role in EXPERT_ROLES}) for route in routes)]
    again = per_candidate - sum(stage.milliseconds for stage in timed if stage.name == "ingest") / 1000
    longest = per_candidate + sum(again + routed.get(route.name, 0.0) for route in routes)
    return Plan(
        targets=len(refs),
        styles=len({ref.style for ref in refs}),
        subjects=len({ref.subject for ref in refs}),
        heldout_targets=sum(ref.split == "heldout" for ref in refs),
        candidates=candidates,
        shard_batches=-(-candidates // spec.shards.candidates),
        stages=timed,
        cpus=cores,
        cpus_held=held[0],
        gpus_held=held[1],
        seconds=_STARTUP_SECONDS + candidates * per_candidate / cores,
        bytes=round(size * candidates),
        cost=candidates * price,
        refused_in_sample=refused,
        sampled=sampled,
        worst=Worst(
            attempts=spec.attempts.most,
            candidates=candidates * spec.attempts.most,
            seconds=_STARTUP_SECONDS + candidates * longest / cores,
            cost=candidates * sum(prices),
        ),
    )


def _sample(spec: JobSpec, refs: list[ImageRef]) -> tuple[list[StagePlan], dict[str, float], float, int, int]:
    """Return the stages with their times, what each route takes longer (seconds a candidate), and bytes a candidate."""
    worker = IngestWorker(spec)
    spent: dict[str, float] = {}
    ingested = _timed("ingest", spent, lambda: [worker.ingest(ref) for ref in refs])
    targets = [
        IngestedTarget(ref, row.ref_id, row.asset_id, row.refused, row.detail)
        for ref, row in zip(refs, ingested, strict=True)
    ]
    rows = list(propose(targets, spec, Digests(spec.generation_digest, "", spec.policy.digest)))
    small = spec.model_copy(update={"scores": spec.scores.model_copy(update={"bank": 16, "neighbours": 1})})
    free = spec.model_copy(update={"experts": spec.experts.unpaid()})
    gallery_of.cache_clear()
    bank = reference_bank(small)
    stages: dict[str, Stage] = {
        "load": load_stage(spec),
        "stylize": stylize_stage(free),
        "destylize": destylize_stage(free),
        "score": score_stage(small, bank),
    }
    _timed("load", spent, partial(stages["load"].process, [row for row in rows if is_open(row)]))
    loaded = [dict(row) for row in rows if is_open(row)]
    for name in ("stylize", "destylize", "score"):
        _timed(name, spent, partial(stages[name].process, [row for row in rows if is_open(row)]))
    routed = _route_times(spec, loaded, stages, spent, of=max(1, len(rows)))
    made = [row for row in rows if row.get("content_image")]
    size = sum(_bytes_of(row) for row in made) / max(1, len(made))
    plans = [
        StagePlan(name, getattr(spec.stages, name), 1000 * spent[name] / max(1, len(rows)))
        for name in ("ingest", "load", "stylize", "destylize", "score")
    ]
    return plans, routed, size, sum(target.refused is not None for target in targets), len(targets)


def _route_times(
    spec: JobSpec, loaded: list[Row], stages: Mapping[str, Stage], spent: Mapping[str, float], *, of: int
) -> dict[str, float]:
    """Return how many seconds a candidate takes longer by each route that names an expert, in its stage."""
    longer: dict[str, float] = {}
    for number, route in enumerate(spec.attempts.routes[: spec.attempts.most - 1], start=1):
        digest = route_digest(spec, route)
        rows = [changed(row, spec, number, digest) for row in to_table(loaded).to_pylist()]
        for role in EXPERT_ROLES:
            if route.expert(role) is not None:
                own: dict[str, float] = {}
                _timed(role, own, partial(stages[role].process, [row for row in rows if is_open(row)]))
                longer[route.name] = longer.get(route.name, 0.0) + (own[role] - spent[role]) / of
    return longer


def _bytes_of(row: Row) -> int:
    return sum(len(row[f"{role}_image"] or b"") for role in ROLES) + 4096


def _timed(name: str, spent: dict[str, float], work: Callable[[], _T]) -> _T:
    start = time.perf_counter()
    result = work()
    spent[name] = time.perf_counter() - start
    return result
