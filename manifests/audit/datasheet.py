"""What a data set is, on a page to read and print (after Gebru et al., Datasheets for Datasets, 2021)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from manifests.audit.balance import balance
from manifests.audit.ledger import Ledger
from manifests.audit.licences import licences
from manifests.audit.pictures import Picture, pictures_of

_TRIPLETS = 12
_REJECTED = 6
_REASONS = 15
_LARGEST = 10

_ENVIRONMENT = Environment(
    loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)


@dataclass(frozen=True)
class Bar:
    """One line of a chart: a name, a count, and its share of the largest."""

    name: str
    count: int
    share: float


@dataclass(frozen=True)
class Shown:
    """A triplet with its pictures."""

    candidate_id: str
    subject: str
    style: str
    layout: str
    said: str
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Datasheet:
    """What the page says."""

    name: str
    root: str
    version: int
    head: str
    written: str
    candidates: int
    accepted: int
    splits: Mapping[str, int]
    layouts: Mapping[str, int]
    first: str
    last: str
    jobs: Sequence[Mapping[str, Any]]
    sources: Sequence[str]
    experts: Sequence[Mapping[str, Any]]
    rules: Sequence[str]
    reasons: Sequence[Bar]
    subjects: Sequence[Bar]
    styles: Sequence[Bar]
    distinct: Mapping[str, int]
    licences: Sequence[Mapping[str, Any]]
    findings: Sequence[str]
    accepted_shown: Sequence[Shown]
    rejected_shown: Sequence[Shown]


def datasheet(ledger: Ledger, *, name: str | None = None) -> Datasheet:
    """Gather what a store says of itself. Raises AuditError where it cannot be read."""
    counts = ledger.rows(
        "SELECT count(*) AS n, count(*) FILTER (accepted) AS accepted, "
        "count(DISTINCT subject) FILTER (accepted) AS subjects, count(DISTINCT style) FILTER (accepted) AS styles "
        f"FROM ({ledger.triplets.select()})"
    )[0]
    jobs = ledger.jobs
    balanced, licensed = balance(ledger, shown=_LARGEST), licences(ledger)
    spreads = {spread.column: spread for spread in balanced.spreads}
    commits = [commit for commit in ledger.commits if commit.digest]
    times = [commit.time.date().isoformat() for commit in commits]
    return Datasheet(
        name=name or Path(ledger.root).name,
        root=ledger.root,
        version=ledger.version,
        head=commits[-1].digest if commits else "",
        written=datetime.now(UTC).date().isoformat(),
        candidates=counts["n"],
        accepted=counts["accepted"],
        splits=_counted(ledger, "split"),
        layouts=_counted(ledger, "layout"),
        first=times[0] if times else "",
        last=times[-1] if times else "",
        jobs=[_job(job) for job in jobs],
        sources=_sources(ledger),
        experts=_experts(ledger, jobs),
        rules=_rules(jobs),
        reasons=_bars(_reasons(ledger)),
        subjects=_bars([(key, count) for key, count, _ in spreads["subject"].largest]),
        styles=_bars([(key, count) for key, count, _ in spreads["style"].largest]),
        distinct={"subjects": counts["subjects"], "styles": counts["styles"]},
        licences=[vars(share) for share in licensed.shares],
        findings=[*licensed.findings, *balanced.findings],
        accepted_shown=_shown(ledger, accepted=True, most=_TRIPLETS),
        rejected_shown=_shown(ledger, accepted=False, most=_REJECTED),
    )


def datasheet_page(sheet: Datasheet) -> str:
    """Return the page, in one file that needs no other."""
    return _ENVIRONMENT.get_template("datasheet.html.j2").render(sheet=sheet)


def _counted(ledger: Ledger, column: str) -> dict[str, int]:
    sql = (
        f"SELECT {column} AS key, count(*) AS n FROM ({ledger.triplets.select()}) WHERE accepted GROUP BY 1 ORDER BY 1"
    )
    return {row["key"]: row["n"] for row in ledger.rows(sql)}


def _reasons(ledger: Ledger) -> list[tuple[str, int]]:
    rows = ledger.rows(
        "SELECT CASE WHEN starts_with(reason, 'duplicate_of') THEN 'duplicate_of' ELSE reason END AS reason, "
        "count(*) AS n "
        f"FROM (SELECT unnest(reasons) AS reason FROM ({ledger.triplets.select()})) "
        f"GROUP BY 1 ORDER BY n DESC, 1 LIMIT {_REASONS}"
    )
    return [(row["reason"], row["n"]) for row in rows]


def _bars(counts: Sequence[tuple[str, int]]) -> list[Bar]:
    largest = max((count for _, count in counts), default=1)
    return [Bar(name, count, count / largest) for name, count in counts]


def _job(job: Mapping[str, Any]) -> dict[str, Any]:
    spec = yaml.safe_load(job["spec"]) or {}
    versions = json.loads(job["versions"])
    counts = json.loads(job["counts"])
    return {
        "id": job["job_id"],
        "name": spec.get("name"),
        "status": job["status"],
        "finished": job["finished"].date().isoformat(),
        "committed": counts.get("committed"),
        "accepted": counts.get("accepted"),
        "seconds": counts.get("seconds"),
        "release": versions.get("triptych"),
        "spec_digest": job["spec_digest"],
    }


def _sources(ledger: Ledger) -> list[str]:
    rows = ledger.rows(
        "SELECT coalesce(package, source) AS source, any_value(author) AS author, any_value(licence) AS licence, "
        f"count(DISTINCT locator) AS n FROM ({ledger.assets.select()}) WHERE source <> 'generated' "
        "GROUP BY 1 ORDER BY n DESC, 1"
    )
    return [
        f"{row['source']}: {row['n']:,} images" + "".join(f", {row[key]}" for key in ("author", "licence") if row[key])
        for row in rows
    ]


def _experts(ledger: Ledger, jobs: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    known: dict[str, Any] = {}
    for job in jobs:
        known |= json.loads(job["counts"]).get("experts", {})
    found = []
    for role in ("stylize", "destylize"):
        rows = ledger.rows(
            f"SELECT {role}_expert AS digest, count(*) AS n, count(*) FILTER (accepted) AS accepted "
            f"FROM ({ledger.triplets.select()}) WHERE {role}_expert IS NOT NULL GROUP BY 1 ORDER BY n DESC"
        )
        for row in rows:
            title = known.get(row["digest"], {}).get("title", "unknown")
            found.append({"role": role, "title": title, **row})
    return found


def _rules(jobs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return the rules of the newest job, in words."""
    if not jobs:
        return []
    spec = yaml.safe_load(jobs[-1]["spec"]) or {}
    rules = (spec.get("policy") or {}).get("rules") or []
    return [_rule(rule) for rule in rules]


def _rule(rule: Mapping[str, Any]) -> str:
    bounds = [
        f"{word} {rule[key]:g}" for key, word in (("min", "at least"), ("max", "at most")) if rule.get(key) is not None
    ]
    when = ", ".join(f"{key} {value}" for key, value in (rule.get("when") or {}).items())
    return f"{rule['column']} {' and '.join(bounds)}" + (f", where {when}" if when else "")


def _shown(ledger: Ledger, *, accepted: bool, most: int) -> list[Shown]:
    """Return some triplets with their pictures, the same ones each time: by id, which is a hash."""
    rows = ledger.rows(
        "SELECT candidate_id, subject, style, layout, reasons, shard "
        f"FROM ({ledger.triplets.select()}) WHERE {'' if accepted else 'NOT '}accepted "
        f"ORDER BY candidate_id LIMIT {20 * most}"
    )
    shown: list[Shown] = []
    for row in rows:
        try:
            pictures = pictures_of(ledger, row["candidate_id"], row["shard"])
        except (OSError, ValueError):
            continue
        if pictures:
            said = ", ".join(row["reasons"])
            shown.append(Shown(row["candidate_id"], row["subject"], row["style"], row["layout"], said, pictures))
        if len(shown) == most:
            break
    return shown
