"""Gathering what the report shows from a store's tables and shards."""

from __future__ import annotations

import base64
import io
import json
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.dataset as pads
import yaml

from curation.graph.rows import short_reason
from curation.policy.rules import Policy
from curation.report.attempts import AttemptRow, attempt_rows
from curation.report.experts import ExpertRow, expert_rows, own_reasons
from curation.report.faults import FaultTable, fault_table
from curation.report.judges import JudgeRow, judge_rows
from manifests.identities import digest_of
from manifests.images import GENERATED
from manifests.licences import Licence, licence
from manifests.records import ROLES, SCORES, TIMES
from manifests.shard_index import ShardIndexes, same_bytes
from manifests.store import STRIPS, Store

_SHOWN = 18
_SHOWN_REJECTED = 30
_SHOWN_DRAWN = 8
_THUMBNAIL = 128


@dataclass(frozen=True)
class Card:
    """One candidate on a contact sheet: its three images as data URIs (or one strip), and what is said of it."""

    candidate_id: str
    subject: str
    style: str
    layout: str
    images: Mapping[str, str]
    notes: Sequence[str]
    truth: str | None


@dataclass(frozen=True)
class Drawn:
    """What one expert drew: candidates that were accepted with it, and such as were rejected for it."""

    expert: ExpertRow
    accepted: Sequence[Card]
    rejected: Sequence[Card]


@dataclass(frozen=True)
class Credit:
    """What one package's images in the accepted triplets ask for; `drawn` are those that experts drew from them."""

    licence: Licence
    author: str
    url: str
    package: str
    drawn: bool
    images: int


@dataclass(frozen=True)
class Findings:
    """Everything that the page shows."""

    name: str
    jobs: list[dict[str, Any]]
    spec: dict[str, Any]
    policy: Policy
    candidates: int
    accepted: int
    splits: Mapping[str, int]
    reasons: list[tuple[str, int]]
    only_reason: Mapping[str, int]
    refused: list[tuple[str, int]]
    refused_examples: list[dict[str, Any]]
    scores: Mapping[str, list[dict[str, Any]]]
    faults: Mapping[str, FaultTable]
    experts: Sequence[ExpertRow]
    attempts: Sequence[AttemptRow]
    judges: Sequence[JudgeRow]
    drawn: Sequence[Drawn]
    cards: Mapping[str, list[Card]]
    rejected: list[Card]
    credits: list[Credit]
    shards: list[dict[str, Any]]
    diversity: Mapping[str, Any] = field(default_factory=dict)


def gather(store: Store) -> Findings:
    """Read a store and return what the report shows. The manifest's rows are read; images only for the sheets."""
    columns = ["candidate_id", "accepted", "reasons", "layout", "split", "subject", "style", "truth", *SCORES]
    columns += ["stylize_expert", "destylize_expert", "attempt", "route", *TIMES]
    table = store.triplets.read(columns)
    rows = table.to_pylist()
    jobs = sorted(store.jobs.read().to_pylist(), key=lambda job: job["started"])
    spec = yaml.safe_load(jobs[-1]["spec"]) if jobs else {}
    accepted = [row for row in rows if row["accepted"]]
    reasons = Counter(short for row in rows for short in {short_reason(reason) for reason in row["reasons"]})
    alone = Counter(short_reason(row["reasons"][0]) for row in rows if len(row["reasons"]) == 1)
    refused = store.assets.read(["locator", "refused", "detail"], pads.field("refused").is_valid()).to_pylist()
    faults = {
        "held-out subjects": fault_table([row for row in rows if row["split"] == "heldout"]),
        "all subjects": fault_table(rows),
    }
    experts = expert_rows(rows, jobs)
    return Findings(
        name=spec.get("name", store.name),
        jobs=[{**job, "counts": json.loads(job["counts"])} for job in jobs],
        spec=spec,
        policy=Policy.model_validate(spec.get("policy") or {}),
        candidates=len(rows),
        accepted=len(accepted),
        splits=Counter(row["split"] for row in accepted),
        reasons=reasons.most_common(),
        only_reason=alone,
        refused=Counter(row["refused"] for row in refused).most_common(),
        refused_examples=refused[:20],
        scores=_scores(rows),
        faults={name: found for name, found in faults.items() if found is not None},
        experts=experts,
        attempts=attempt_rows(table, spec.get("stages", {})),
        judges=judge_rows(store.judgements.read().to_pylist()),
        drawn=[_drawn(store, expert, rows) for expert in experts if expert.draws],
        cards={layout: _accepted_cards(store, accepted, layout) for layout in ("preserved", "shifted")},
        rejected=_rejected_cards(store, rows),
        credits=_credits(store),
        shards=store.committed_shards(),
        diversity=_diversity(accepted),
    )


def _scores(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    return {column: [dict(row) for row in rows if row[column] is not None] for column in SCORES}


def _diversity(accepted: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    subjects, styles = Counter(row["subject"] for row in accepted), Counter(row["style"] for row in accepted)
    return {
        "subjects": len(subjects),
        "styles": len(styles),
        "largest_subject": subjects.most_common(1),
        "largest_style": styles.most_common(1),
        "by_style": styles.most_common(),
    }


def _spread(rows: Sequence[Mapping[str, Any]], key: str, count: int) -> list[Mapping[str, Any]]:
    """Return so many rows, taken in turn from the groups that `key` makes, in an order that is always the same."""
    groups: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for row in sorted(rows, key=lambda row: digest_of(row["candidate_id"])):
        groups[row[key]].append(row)
    taken: list[Mapping[str, Any]] = []
    while len(taken) < count and any(groups.values()):
        for name in sorted(groups, key=digest_of):
            if groups[name] and len(taken) < count:
                taken.append(groups[name].pop())
    return taken


def _drawn(store: Store, expert: ExpertRow, rows: Sequence[Mapping[str, Any]]) -> Drawn:
    own = [row for row in rows if row[f"{expert.role}_expert"] == expert.digest]
    accepted = [row for row in own if row["accepted"]]
    blamed = [{**row, "reasons": own_reasons(expert.role, row["reasons"])} for row in own]
    return Drawn(expert, _cards(store, accepted, _SHOWN_DRAWN), _rejected_cards(store, blamed, _SHOWN_DRAWN))


def _accepted_cards(store: Store, accepted: Sequence[Mapping[str, Any]], layout: str) -> list[Card]:
    return _cards(store, [row for row in accepted if row["layout"] == layout], _SHOWN)


def _cards(store: Store, accepted: Sequence[Mapping[str, Any]], count: int) -> list[Card]:
    chosen = _spread(accepted, "style", count)
    places, indexes = _places(store, [row["candidate_id"] for row in chosen]), ShardIndexes(store.reading)
    cards = []
    for row in chosen:
        read = _read_images(store, indexes, places[row["candidate_id"]])
        images = {role: _data_uri(data) for role, data in read.items()}
        notes = [f"{column} {row[column]:.2f}" for column in SCORES if row[column] is not None]
        known = (row["candidate_id"], row["subject"], row["style"], row["layout"])
        cards.append(Card(*known, images, notes, row["truth"]))
    return cards


def _places(store: Store, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    found = store.triplets.read(["candidate_id", "shard"], pads.field("candidate_id").isin(pa.array(ids, pa.string())))
    return {row["candidate_id"]: row for row in found.to_pylist()}


def _read_images(store: Store, indexes: ShardIndexes, place: Mapping[str, Any]) -> dict[str, bytes]:
    images: dict[str, bytes] = {}
    for name, member in indexes.get(place["shard"]).members(place["candidate_id"]).items():
        role = name.partition(".")[0]
        if role in ROLES:
            data = store.reading.read_range(f"shards/{place['shard']}", member.offset, member.size)
            images[role] = same_bytes(data, member.sha256, f"{place['candidate_id']}.{name}")
    return images


def _data_uri(data: bytes) -> str:
    """Return an image as a data URI, made smaller for the page."""
    from PIL import Image

    image = Image.open(io.BytesIO(data)).convert("RGB")
    image.thumbnail((_THUMBNAIL, _THUMBNAIL))
    buffer = io.BytesIO()
    image.save(buffer, "WEBP", quality=82)
    return f"data:image/webp;base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _rejected_cards(store: Store, rows: Sequence[Mapping[str, Any]], count: int = _SHOWN_REJECTED) -> list[Card]:
    rejected = [{**row, "first": short_reason(row["reasons"][0])} for row in rows if row["reasons"]]
    kept = {found.name for found in store.files.list(STRIPS)}
    pictured = [row for row in rejected if store.strip(row["candidate_id"]) in kept]
    cards = []
    for row in _spread(pictured, "first", count):
        strip = base64.b64encode(store.files.read(store.strip(row["candidate_id"]))).decode()
        images = {"strip": f"data:image/webp;base64,{strip}"}
        cards.append(
            Card(row["candidate_id"], row["subject"], row["style"], row["layout"], images, row["reasons"], row["truth"])
        )
    return cards


def _credits(store: Store) -> list[Credit]:
    """Return what the accepted triplets' images ask for, one entry for each licence, author and package."""
    used = store.triplets.read([f"{role}_ref" for role in ROLES], pads.field("accepted"))
    refs = {ref for role in ROLES for ref in used[f"{role}_ref"].to_pylist() if ref}
    columns = ["ref_id", "licence", "author", "attribution_url", "package", "source"]
    counts: Counter[tuple[str, str, str, str, bool]] = Counter()
    for batch in store.assets.dataset().to_batches(columns=columns):
        for row in batch.to_pylist():
            if row["ref_id"] in refs:
                package = row["package"] or row["source"]
                owner = (row["author"] or "unknown", row["attribution_url"] or "", package)
                counts[row["licence"] or "", *owner, row["source"] == GENERATED] += 1
    credits = [
        Credit(licence(spdx), author, url, package, drawn, count)
        for (spdx, author, url, package, drawn), count in counts.items()
    ]
    return sorted(credits, key=lambda credit: (credit.licence.spdx, -credit.images))
