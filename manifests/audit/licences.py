"""Which licences a data set stands under, what they ask for, and whether a policy lets it be passed on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from manifests.audit.ledger import Ledger
from manifests.audit.table_at import RECORDED
from manifests.licence_policy import UNKNOWN, LicencePolicy
from manifests.licences import licence

_MOST_CONFLICTS = 100


@dataclass(frozen=True)
class Share:
    """How much of the accepted triplets a licence covers, and what it asks for."""

    licence: str
    title: str
    triplets: int
    share: float
    images: int
    attribution: bool
    share_alike: bool
    url: str


@dataclass(frozen=True)
class Statement:
    """Where a licence was stated: of which images, by which package or source, as recorded at ingest."""

    licence: str
    author: str
    package: str
    source: str
    url: str
    images: int
    first_recorded: str
    last_recorded: str


@dataclass(frozen=True)
class Refusal:
    """Accepted triplets that a policy does not let pass, for one reason."""

    reason: str
    triplets: int


@dataclass(frozen=True)
class Licences:
    """What a store says of licences at one version."""

    root: str
    version: int
    accepted: int
    images: int
    shares: Sequence[Share]
    statements: Sequence[Statement]
    conflicts: Sequence[dict[str, Any]]
    """Files of one locator that were recorded under more than one licence: it was changed at the source."""

    main: int
    separate: int
    refused: int
    refusals: Sequence[Refusal]
    findings: Sequence[str]


def licences(ledger: Ledger, policy: LicencePolicy | None = None) -> Licences:
    """Return the licences of the accepted triplets and of their images, and what a policy makes of them.

    Without a policy, images of which no licence is stated are findings, and nothing else is.
    """
    sets = ledger.rows(
        f"SELECT licences, count(*) AS n FROM ({ledger.triplets.select()}) WHERE accepted GROUP BY licences"
    )
    accepted = sum(row["n"] for row in sets)
    statements, conflicts = _statements(ledger), _conflicts(ledger)
    images: Counter[str] = Counter()
    for statement in statements:
        images[statement.licence] += statement.images
    findings = [f"{_named(one)} was recorded under {', '.join(one['licences'])}" for one in conflicts]
    rule = policy or LicencePolicy()
    main = separate = 0
    refusals: Counter[str] = Counter()
    for row in sets:
        verdict = rule.verdict(row["licences"] or ())
        main += row["n"] if verdict.part == "main" else 0
        separate += row["n"] if verdict.part == "share-alike" else 0
        for reason in dict.fromkeys(verdict.reasons):
            refusals[reason] += row["n"]
    findings += [f"{reason}: {count:,} accepted triplets" for reason, count in refusals.most_common()]
    return Licences(
        root=ledger.root,
        version=ledger.version,
        accepted=accepted,
        images=sum(images.values()),
        shares=_shares(sets, images, accepted),
        statements=statements,
        conflicts=conflicts,
        main=main,
        separate=separate,
        refused=accepted - main - separate,
        refusals=[Refusal(reason, count) for reason, count in refusals.most_common()],
        findings=findings,
    )


def use_images(ledger: Ledger) -> None:
    """Put the keys of all images of accepted triplets into the temporary table `used`, if it is not there yet.

    A key is a 64-bit hash of a `ref_id`: numbers take a fraction of the time and memory of text. In a hundred million
    images, two share one by a chance of 0.03 %.
    Targets and style references repeat, and are told apart first; content references hardly ever do.
    """
    accepted = f"FROM ({ledger.triplets.select()}) WHERE accepted"
    ledger.run(
        "CREATE TEMP TABLE IF NOT EXISTS used AS "
        f"SELECT DISTINCT {key_of('target_ref')} AS key {accepted} UNION ALL "
        f"SELECT DISTINCT {key_of('style_ref')} {accepted} UNION ALL SELECT {key_of('content_ref')} {accepted}"
    )


def key_of(column: str) -> str:
    """Return SQL for the key of an id."""
    return f"hash({column})"


def _statements(ledger: Ledger) -> list[Statement]:
    use_images(ledger)
    rows = ledger.rows(
        "SELECT coalesce(licence, 'unknown') AS licence, coalesce(author, '') AS author, "
        "coalesce(package, '') AS package, source, coalesce(attribution_url, '') AS url, count(*) AS images, "
        "min(recorded) AS first_recorded, max(recorded) AS last_recorded "
        f"FROM ({ledger.assets.select(tagged=RECORDED)}) WHERE {key_of('ref_id')} IN (FROM used) "
        "GROUP BY 1, 2, 3, 4, 5 "
        "ORDER BY images DESC, licence, package, author"
    )
    return [Statement(**row | {key: _time(row[key]) for key in ("first_recorded", "last_recorded")}) for row in rows]


def _conflicts(ledger: Ledger) -> list[dict[str, Any]]:
    """Return the files that were recorded under more than one licence, of accepted triplets or not."""
    table = ledger.assets.select()
    stated = "hash(coalesce(licence, 'unknown'))"
    keys = ledger.rows(
        f"SELECT hash(source, locator) AS key FROM ({table}) WHERE source <> 'generated' GROUP BY key "
        f"HAVING min({stated}) <> max({stated}) LIMIT {_MOST_CONFLICTS}"
    )
    if not keys:
        return []
    listed = ", ".join(str(row["key"]) for row in keys)
    return ledger.rows(
        "SELECT source, locator, list_sort(list(DISTINCT coalesce(licence, 'unknown'))) AS licences, "
        "list_sort(list(DISTINCT coalesce(package, source))) AS packages "
        f"FROM ({table}) WHERE hash(source, locator) IN ({listed}) GROUP BY source, locator ORDER BY source, locator"
    )


def _shares(sets: Sequence[dict[str, Any]], images: Counter[str], accepted: int) -> list[Share]:
    triplets: Counter[str] = Counter()
    for row in sets:
        for spdx in row["licences"] or [UNKNOWN]:
            triplets[spdx] += row["n"]
    shares = []
    for spdx, count in triplets.most_common():
        facts = licence(None if spdx == UNKNOWN else spdx)
        shown = images[spdx]
        asked = (facts.attribution, facts.share_alike, facts.url)
        shares.append(Share(spdx, facts.title, count, round(count / accepted, 6), shown, *asked))
    return shares


def _named(one: dict[str, Any]) -> str:
    return f"{one['source']}:{one['locator']} ({', '.join(one['packages'])})"


def _time(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")
