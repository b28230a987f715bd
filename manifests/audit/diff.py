"""What two versions of a store differ in: candidates that came, went or changed, and why."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from manifests.audit.commits import Commit, job_of
from manifests.audit.ledger import Ledger
from manifests.audit.rules import RuleThen, rules_of
from manifests.audit.table_at import DataFile
from manifests.records import JUDGED, SCORES, TIMES

Verdict = Literal["came", "went", "changed"]
State = Mapping[str, Any]

_AS_OF_COMMIT = {"follows", *TIMES}
"""Columns that say when and how fast a row was written, not what it is."""

MOST = 50_000
"""Changed rows that a report looks at one by one."""

_RANKED = {*SCORES, *(column for column in JUDGED)}


@dataclass(frozen=True)
class Change:
    """One candidate before and after, None where it was not there."""

    candidate_id: str
    before: State | None
    after: State | None

    @property
    def verdict(self) -> Verdict:
        """Return whether it came, went or changed."""
        return "came" if self.before is None else "went" if self.after is None else "changed"

    @property
    def columns(self) -> list[str]:
        """Return the columns that changed; none where it came or went."""
        if self.before is None or self.after is None:
            return []
        return [name for name in self.after if self.before.get(name) != self.after[name]]

    @property
    def decided_anew(self) -> bool:
        """Tell whether it was in the data set and is not any more, or the other way round."""
        return self.before is not None and self.after is not None and self.before["accepted"] != self.after["accepted"]


@dataclass(frozen=True)
class Diff:
    """The changes between two versions. `then` joins it with the changes that follow."""

    changes: Mapping[str, Change]

    def then(self, later: Diff) -> Diff:
        """Return the changes from the first version of this one to the last of a later one.

        `later` begins at the version at which this one ends.
        """
        joined = {}
        for key in dict.fromkeys([*self.changes, *later.changes]):
            first, second = self.changes.get(key), later.changes.get(key)
            before = first.before if first else second.before if second else None
            after = second.after if second else first.after if first else None
            if before != after:
                joined[key] = Change(key, before, after)
        return Diff(joined)

    def of(self, verdict: Verdict) -> list[Change]:
        """Return the changes of one kind, in order of id."""
        return [self.changes[key] for key in sorted(self.changes) if self.changes[key].verdict == verdict]


@dataclass(frozen=True)
class Report:
    """What is said of two versions: figures, and the single changes as far as they were asked for."""

    root: str
    first: int
    second: int
    candidates: tuple[int, int]
    accepted: tuple[int, int]
    came: int
    came_accepted: int
    went: int
    went_accepted: int
    changed: int
    newly_accepted: int
    newly_rejected: int
    told_from: int
    """Changed rows of which `why` and `policies` are told; fewer than `changed` where those are very many."""

    why: Mapping[str, int]
    """Of those that changed: how many changed for what."""

    policies: Sequence[str]
    """The rules that differ between the two versions, in words."""

    reasons: Mapping[str, tuple[int, int]]
    """How often each reason stands in the rows that differ, before and after."""

    commits: Sequence[Mapping[str, Any]]
    shards_came: Sequence[str]
    shards_went: Sequence[str]
    shown: Sequence[Mapping[str, Any]] = field(default_factory=list)


def diff(first: Ledger, second: Ledger) -> Diff:
    """Return the changes from one version of a store to another, either may be the later one.

    Data files are never changed, so rows of files that both versions have are not read.
    """
    gone, fresh = _only_in(first, second), _only_in(second, first)
    before = _states(first, gone)
    after = _states(second, fresh)
    changes = {}
    for key in dict.fromkeys([*before, *after]):
        if before.get(key) != after.get(key):
            changes[key] = Change(key, before.get(key), after.get(key))
    return Diff(changes)


def report(first: Ledger, second: Ledger, *, rows: int = 20) -> Report:
    """Return what two versions differ in, for a person: figures, causes, and the first changes one by one.

    Figures are counted in DuckDB; causes are told from up to MOST changed rows.
    """
    _compare(first, second)
    figures = second.rows(_FIGURES)[0]
    jobs = second.jobs
    changed = _some(first, second, "before IS NOT NULL AND after IS NOT NULL", MOST)
    shown = _ordered(changed)[:rows]
    for condition in ("after IS NULL", "before IS NULL"):
        shown += _ordered(_some(first, second, condition, rows - len(shown)))
    return Report(
        root=first.root,
        first=first.version,
        second=second.version,
        candidates=(first.triplets.rows, second.triplets.rows),
        accepted=(_accepted(first), _accepted(second)),
        **figures,
        told_from=len(changed.changes),
        why=dict(Counter(cause for change in changed.changes.values() for cause in causes(change)).most_common()),
        policies=_policies(changed, jobs),
        reasons={row["reason"]: (row["before"], row["after"]) for row in second.rows(_REASONS)},
        commits=[_told(commit, jobs) for commit in _between(first, second)],
        shards_came=sorted(second.shards.keys() - first.shards.keys()),
        shards_went=sorted(first.shards.keys() - second.shards.keys()),
        shown=[_shown(change, jobs) for change in shown],
    )


_FIGURES = """
    SELECT count(*) FILTER (before IS NULL) AS came,
        count(*) FILTER (before IS NULL AND accepted_after) AS came_accepted,
        count(*) FILTER (after IS NULL) AS went,
        count(*) FILTER (after IS NULL AND accepted_before) AS went_accepted,
        count(*) FILTER (before IS NOT NULL AND after IS NOT NULL) AS changed,
        count(*) FILTER (NOT accepted_before AND accepted_after) AS newly_accepted,
        count(*) FILTER (accepted_before AND NOT accepted_after) AS newly_rejected
    FROM differing"""

_REASONS = """
    SELECT reason, count(*) FILTER (NOT late) AS before, count(*) FILTER (late) AS after FROM (
        SELECT unnest(reasons_before) AS reason, false AS late FROM differing
        UNION ALL SELECT unnest(reasons_after), true FROM differing
    ) GROUP BY reason ORDER BY count(*) DESC, reason"""


def _compare(first: Ledger, second: Ledger) -> None:
    """Put the ids that differ into a temporary table, with a hash of the row on either side."""
    names = [field.name for field in second.triplets.schema if field.name not in _AS_OF_COMMIT]
    columns = ", ".join(f'"{name}"' for name in names)
    sides = [
        f"SELECT candidate_id, accepted, reasons, hash(row({columns})) AS whole FROM ({ledger.triplets.select(files)})"
        for ledger, files in ((first, _only_in(first, second)), (second, _only_in(second, first)))
    ]
    second.run(
        "CREATE OR REPLACE TEMP TABLE differing AS SELECT coalesce(b.candidate_id, a.candidate_id) AS candidate_id, "
        "b.whole AS before, a.whole AS after, b.accepted AS accepted_before, a.accepted AS accepted_after, "
        "b.reasons AS reasons_before, a.reasons AS reasons_after "
        f"FROM ({sides[0]}) b FULL JOIN ({sides[1]}) a USING (candidate_id) WHERE b.whole IS DISTINCT FROM a.whole"
    )


def _some(first: Ledger, second: Ledger, condition: str, most: int) -> Diff:
    """Return the first differing rows that meet a condition, those that were decided anew before all others."""
    order = "accepted_before IS NOT DISTINCT FROM accepted_after, candidate_id"
    found = second.rows(f"SELECT candidate_id FROM differing WHERE {condition} ORDER BY {order} LIMIT {max(0, most)}")
    ids = [row["candidate_id"] for row in found]
    if not ids:
        return Diff({})
    before = _states(first, _only_in(first, second), ids)
    after = _states(second, _only_in(second, first), ids)
    return Diff({key: Change(key, before.get(key), after.get(key)) for key in ids})


def _ordered(found: Diff) -> list[Change]:
    return sorted(found.changes.values(), key=lambda change: (not change.decided_anew, change.candidate_id))


def causes(change: Change) -> list[str]:
    """Return what a changed row changed in: `scores`, `policy`, `judgement`, `reasons`, `place`, or a column."""
    groups = {
        **dict.fromkeys(("policy_digest",), "policy"),
        **dict.fromkeys(("shard", "offset"), "place"),
        **dict.fromkeys(("judge_layout", "judge_digest", *JUDGED), "judgement"),
        **dict.fromkeys((*SCORES, "scoring_digest"), "scores"),
        **dict.fromkeys(("accepted",), "decision"),
    }
    return list(dict.fromkeys(groups.get(column, column) for column in change.columns))


def _only_in(one: Ledger, other: Ledger) -> list[DataFile]:
    names = {file.name for file in other.triplets.files}
    return [file for file in one.triplets.files if file.name not in names]


def _states(ledger: Ledger, files: Sequence[DataFile], ids: Sequence[str] | None = None) -> dict[str, State]:
    sql = ledger.triplets.select(files)
    if ids is None:
        rows = ledger.rows(sql) if files else []
    else:
        sql = f"SELECT * FROM ({sql}) WHERE candidate_id IN (SELECT unnest($ids))"
        rows = ledger.rows(sql, {"ids": list(ids)})
    return {
        row["candidate_id"]: {name: value for name, value in row.items() if name not in _AS_OF_COMMIT} for row in rows
    }


def _accepted(ledger: Ledger) -> int:
    return int(ledger.rows(f"SELECT count(*) AS n FROM ({ledger.triplets.select()}) WHERE accepted")[0]["n"])


def _between(first: Ledger, second: Ledger) -> list[Commit]:
    low, high = sorted((first.version, second.version))
    commits = first.commits if first.version > second.version else second.commits
    return [commit for commit in commits if low < commit.version <= high]


def _told(commit: Commit, jobs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    job = job_of(commit, list(map(dict, jobs)))
    return {
        "version": commit.version,
        "time": commit.time.isoformat(),
        "operation": commit.operation,
        "rows": commit.rows_added,
        "job": job["job_id"] if job else None,
    }


def _policies(found: Diff, jobs: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return in words how the policies of changed rows differ."""
    pairs = {
        (change.before["policy_digest"], change.after["policy_digest"])
        for change in found.changes.values()
        if change.before and change.after and change.before["policy_digest"] != change.after["policy_digest"]
    }
    words = []
    for before, after in sorted(pairs):
        old, new = rules_of(before, jobs), rules_of(after, jobs)
        if old is None or new is None:
            words.append(f"policy {before} became {after}; no job of the store has the rules of both")
            continue
        words += [f"{_place(rule)}: {_became(rule, new)}" for rule in old if rule not in new]
        kept = {(rule.column, rule.layout) for rule in old}
        words += [f"{_place(rule)}: new rule, {rule}" for rule in new if (rule.column, rule.layout) not in kept]
    return words


def _became(rule: RuleThen, rules: Sequence[RuleThen]) -> str:
    other = next((one for one in rules if (one.column, one.layout) == (rule.column, rule.layout)), None)
    return f"{rule} was dropped" if other is None else f"{rule} became {other}"


def _place(rule: RuleThen) -> str:
    return rule.column if rule.layout is None else f"{rule.column} ({rule.layout})"


def _shown(change: Change, jobs: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    known = change.after or change.before or {}
    shown: dict[str, Any] = {
        "candidate_id": change.candidate_id,
        "change": change.verdict,
        "subject": known["subject"],
        "style": known["style"],
        "before": _decision(change.before),
        "after": _decision(change.after),
    }
    if change.verdict == "changed":
        shown["why"] = "; ".join(_why(change, jobs))
    return shown


def _why(change: Change, jobs: Sequence[Mapping[str, Any]]) -> list[str]:
    before, after = change.before or {}, change.after or {}
    words = [f"{column} {before[column]} -> {after[column]}" for column in change.columns if column in _RANKED]
    if "policy_digest" in change.columns:
        blamed = (*before["reasons"], *after["reasons"])
        policy = _policies(Diff({change.candidate_id: change}), jobs)
        bearing = [text for text in policy if any(reason.startswith(re.split("[: ]", text)[0]) for reason in blamed)]
        words += bearing or ["another policy, none of whose other rules bears on it"]
    others = [column for column in change.columns if column not in {*_RANKED, "policy_digest", "accepted", "reasons"}]
    return words + [f"{column} changed" for column in others]


def _decision(state: State | None) -> str:
    if state is None:
        return "not there"
    return "accepted" if state["accepted"] else f"rejected: {', '.join(state['reasons'])}"
