"""A curation job from spec to commits: what is left to do, doing it, and what came of it."""

from __future__ import annotations

import json
import logging
import platform
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache, partial
from importlib.metadata import version
from typing import Any, Literal, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
import yaml

from curation.attempts import rounds
from curation.candidates import Digests, IngestedTarget, in_shard_order, proposals
from curation.cluster import cluster
from curation.context import examine_judge, gallery_of, reference_bank
from curation.deduplicate import nearest_earlier
from curation.experts import describe_experts, require_endpoints
from curation.graph.flow import FLOW
from curation.graph.resources import held
from curation.heartbeat import Heartbeat
from curation.ingest.taken_down import refuse_taken_down
from curation.logs import name_job
from curation.metrics import count_commit
from curation.patience import patiently
from curation.scoring import scoring_digest
from curation.spec.model import JobSpec
from curation.targets import choose_targets
from curation.windows import windows
from manifests.arrow_schema import to_table
from manifests.identities import digest_of
from manifests.images import ImageRef
from manifests.records import Job, Judgement
from manifests.store import Store
from manifests.takedown.marks import TakenDown
from workers.scorers.references import References

_LIBRARIES = ("triptych", "ray", "torch", "pyarrow", "deltalake", "webdataset", "pillow", "opencv-python-headless")

_MB = 1024 * 1024

_log = logging.getLogger(__name__)

Result = TypeVar("Result")

Phase = Literal["listing", "ingest", "judge", "bank", "curate", "done"]
ProgressHook = Callable[["Progress"], None]


@dataclass
class Progress:
    """Where a job stands; a display is given this again and again."""

    phase: Phase = "listing"
    targets: int = 0
    ingested: int = 0
    refused: int = 0
    duplicates: int = 0
    candidates: int = 0
    attempt: int = 0
    committed_before: int = 0
    other_policy: int = 0
    committed: int = 0
    left_out: int = 0
    accepted: int = 0
    shards: int = 0
    canaries: int = 0
    canary_hits: int = 0
    spilled_mb: int = 0
    reasons: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Summary:
    """What came of a run."""

    job_id: str
    status: Literal["finished", "interrupted", "failed"]
    seconds: float
    progress: Progress

    def to_json(self) -> dict[str, Any]:
        """Return the summary as plain values."""
        counts = {key: value for key, value in vars(self.progress).items() if key not in ("phase", "reasons")}
        return {
            "job_id": self.job_id,
            "status": self.status,
            "seconds": round(self.seconds, 1),
            **counts,
            "reasons": dict(self.progress.reasons.most_common()),
        }


class NothingToDoError(ValueError):
    """The spec selects no target at all."""


def run_job(
    spec: JobSpec, store: Store, *, limit: int | None = None, hook: ProgressHook = lambda _progress: None
) -> Summary:
    """Run a job into a store, or what is left of it.

    Candidates that the manifest holds are not made again. `limit` takes the first so many targets. Every run leaves
    a row in `jobs`, also one that is interrupted (KeyboardInterrupt passes through) or fails. Other jobs may write to
    the store meanwhile: what they commit first is left out, and counted in `Progress.left_out`.
    """
    progress = Progress()
    started, clock = datetime.now(UTC), time.monotonic()
    store = store.absolute()
    job_id = digest_of([spec.digest, started.isoformat(), platform.node()])[:12]
    name_job(job_id)
    status: Literal["finished", "interrupted", "failed"] = "failed"
    hook(progress)
    experts = describe_experts(spec)
    refs = plan_targets(spec, limit)
    try:
        with Heartbeat(store.files, job_id, spec.name, lambda: beat_facts(progress)):
            _run(spec, store, refs, progress, hook, job_id)
        status = "finished"
    except KeyboardInterrupt:
        status = "interrupted"
        raise
    finally:
        summary = Summary(job_id, status, time.monotonic() - clock, progress)
        _record(spec, store, summary, experts, started)
    progress.phase = "done"
    hook(progress)
    return summary


def beat_facts(progress: Progress) -> dict[str, Any]:
    """Return what a heartbeat says of a job's progress."""
    known = dict(vars(progress))
    phase, reasons = known.pop("phase"), known.pop("reasons")
    if phase == "curate" and FLOW.loading():
        phase = "models"
    return {"phase": phase, "counts": known, "reasons": dict(reasons.most_common())}


def plan_targets(spec: JobSpec, limit: int | None = None) -> list[ImageRef]:
    """Return the targets of a job. Raises NothingToDoError where there are none, naming what excludes them."""
    targets = choose_targets(gallery_of(spec), spec.targets)
    if not targets:
        raise NothingToDoError(
            "targets: no image of the sources can be a target; check sources, targets.styles and targets.subjects"
        )
    return targets[:limit]


def _run(
    spec: JobSpec, store: Store, refs: Sequence[ImageRef], progress: Progress, hook: ProgressHook, job_id: str
) -> None:
    digests = Digests(spec.generation_digest, scoring_digest(spec), spec.policy.digest)
    progress.targets = len(refs)
    progress.phase = "ingest"
    hook(progress)
    with ExitStack() as stack:
        ray_needed = _once(lambda: stack.enter_context(cluster(spec)))
        targets = _ingest(spec, store, refs, progress, hook, ray_needed)
        prepared = cache(lambda: _prepared(spec, store, refs, progress, hook, ray_needed))
        for window in windows(targets, spec):
            for tried in rounds(proposals(window, spec, digests), store.triplets, spec, policy=digests.policy):
                progress.attempt = tried.attempt
                progress.candidates += tried.candidates.num_rows
                progress.other_policy += tried.held.other_policy
                todo = in_shard_order(tried.todo)
                progress.committed_before += tried.candidates.num_rows - todo.num_rows
                if todo.num_rows:
                    _curate(spec, store, todo, prepared(), progress, hook, job_id)
    store.write_index()


def _prepared(
    spec: JobSpec,
    store: Store,
    refs: Sequence[ImageRef],
    progress: Progress,
    hook: ProgressHook,
    ray_needed: Callable[[], None],
) -> References:
    """Examine the judge, and return what scores are held against; needed only where there is something left to do."""
    import ray

    require_endpoints(spec)
    ray_needed()
    _examine(spec, store, refs, progress, hook)
    progress.phase = "bank"
    hook(progress)
    references: References = ray.get(ray.remote(**held(spec.stages.score))(reference_bank).remote(spec))
    return references


def _once(start: Callable[[], None]) -> Callable[[], None]:
    """Return a function that starts something at its first call only: a job with nothing left to do starts no Ray."""
    started = False

    def call() -> None:
        nonlocal started
        if not started:
            started = True
            start()

    return call


def _ingest(
    spec: JobSpec,
    store: Store,
    refs: Sequence[ImageRef],
    progress: Progress,
    hook: ProgressHook,
    ray_needed: Callable[[], None],
) -> list[IngestedTarget]:
    from curation.graph.ingest_graph import ingest

    gallery = gallery_of(spec)
    ids = [gallery.ref_id(ref) for ref in refs]
    columns = ["ref_id", "asset_id", "perceptual_hash", "refused", "detail", "role"]
    wanted = pa.array(ids, pa.string())
    known: dict[str, dict[str, Any]] = {}
    for found in store.assets.batches(columns):
        mine = found.filter(pc.is_in(found["ref_id"].cast(pa.string()), value_set=wanted))
        known |= {row["ref_id"]: row for row in mine.to_pylist() if row["perceptual_hash"] or row["refused"]}
    progress.ingested = len(known)
    fresh = {ref_id: ref for ref_id, ref in zip(ids, refs, strict=True) if ref_id not in known}
    if fresh:
        ray_needed()
    taken = TakenDown(store)
    for read in ingest(spec, list(fresh.values())):
        batch = refuse_taken_down(read, taken)
        _kept(spec, partial(store.add_assets, batch))
        for row in batch.select(columns).to_pylist():
            known[row["ref_id"]] = row
        progress.ingested += batch.num_rows
        hook(progress)
    hashed = [position for position, ref_id in enumerate(ids) if known[ref_id]["perceptual_hash"]]
    hashes = [known[ids[position]]["perceptual_hash"] for position in hashed]
    repeats: dict[int, str] = {}
    for place, earlier in enumerate(nearest_earlier(hashes, max_distance=spec.deduplicate.max_distance)):
        if earlier is not None:
            repeats[hashed[place]] = known[ids[hashed[earlier]]]["asset_id"]
    targets = []
    for position, (ref, ref_id) in enumerate(zip(refs, ids, strict=True)):
        row = known[ref_id]
        duplicate = repeats.get(position)
        targets.append(IngestedTarget(ref, ref_id, row["asset_id"], row["refused"], row["detail"], duplicate))
    progress.refused = sum(target.refused is not None for target in targets)
    progress.duplicates = len(repeats)
    return targets


def _examine(spec: JobSpec, store: Store, refs: Sequence[ImageRef], progress: Progress, hook: ProgressHook) -> None:
    """Send the judge its canaries before anything is made: one that does not answer ends the job here."""
    import ray

    if spec.judge is None:
        return
    progress.phase = "judge"
    hook(progress)
    seen: list[Judgement] = ray.get(ray.remote(**held(spec.stages.judge))(examine_judge).remote(spec, refs))
    _kept(spec, partial(store.add_judgements, to_table(Judgement, seen)))
    progress.canaries, progress.canary_hits = len(seen), sum(bool(judgement.hit) for judgement in seen)
    hook(progress)


def _curate(
    spec: JobSpec,
    store: Store,
    todo: pa.Table,
    references: References,
    progress: Progress,
    hook: ProgressHook,
    job_id: str,
) -> None:
    from curation.graph.candidate_graph import curate
    from curation.graph.pack import funnel_counts
    from curation.graph.spilling import Spilling

    progress.phase = "curate"
    hook(progress)
    spilling, spilled = Spilling(), progress.spilled_mb
    for packed in curate(spec, todo, bank=references, store=store):
        rows = (packed.triplets, packed.assets, packed.shards)
        done = _kept(spec, partial(store.commit, *rows, judgements=packed.judgements, job=job_id))
        count_commit(done.triplets, packed.judgements, [shard.bytes for shard in done.shards])
        _log.info("committed %d candidates in %d shards", done.triplets.num_rows, len(done.shards))
        if done.left_out:
            _log.warning("left out %d candidates that another job had committed meanwhile", done.left_out)
        counts = funnel_counts(done.triplets.to_pylist()) if done.left_out else packed.counts
        progress.left_out += done.left_out
        progress.committed += counts["candidates"]
        progress.accepted += counts["accepted"]
        progress.shards += len(done.shards)
        progress.reasons.update(counts["reasons"])
        progress.spilled_mb = spilled + spilling.bytes() // _MB
        hook(progress)
    progress.spilled_mb = spilled + spilling.bytes(now=True) // _MB


def _kept(spec: JobSpec, write: Callable[[], Result]) -> Result:
    """Return what a write to the store returns; a store that does not answer is given time to come back."""
    return patiently(write, seconds=spec.ray.store_patience_seconds, what="committing")


def _record(
    spec: JobSpec, store: Store, summary: Summary, experts: dict[str, dict[str, Any]], started: datetime
) -> None:
    versions = {name: version(name) for name in _LIBRARIES} | {"python": platform.python_version()}
    job = Job(
        job_id=summary.job_id,
        spec=yaml.safe_dump(spec.model_dump(mode="json"), sort_keys=False),
        spec_digest=spec.digest,
        generation_digest=spec.generation_digest,
        status=summary.status,
        started=started,
        finished=datetime.now(UTC),
        versions=json.dumps(versions, sort_keys=True),
        counts=json.dumps({**summary.to_json(), "experts": experts}, sort_keys=True),
    )
    rows: pa.Table = to_table(Job, [job])
    store.jobs.append(rows)
