"""What pages and programs ask of triplets, answered from a copy of the table in DuckDB's own form.

The copy is made once for each version of the store, in the cache, and read by many threads at once. It can be deleted
at any time: the store alone is the truth.
"""

from __future__ import annotations

import json
import threading
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from manifests.audit.cache import cache_of
from manifests.audit.ledger import Ledger
from manifests.records import JUDGED, SCORES
from manifests.store import Store

if TYPE_CHECKING:
    import duckdb

SHOWN: tuple[str, ...] = (
    *("candidate_id", "accepted", "reasons", "layout", "split", "prompt", "subject", "style", "licences"),
    *("target_id", "content_id", "style_id", "shard", "policy_digest", "stylize_expert", "destylize_expert", "attempt"),
    *SCORES,
    *JUDGED,
)
"""Columns of `triplets` that are listed."""

NUMBERS: tuple[str, ...] = (*SCORES, *JUDGED)
"""Columns that can be bounded and sorted by."""

TEXTS: tuple[str, ...] = ("layout", "split", "subject", "style")
"""Columns that can be asked for by value."""

MOST = 200
_MEMORY = "800MB"


class AskedWronglyError(ValueError):
    """A filter, an order or a cursor that cannot be; the message names it and says the mend."""


@dataclass(frozen=True)
class Filter:
    """Which triplets are wanted."""

    accepted: bool | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    licence: str | None = None
    reason: str | None = None
    """How a reason begins, e.g. `style_leak`."""
    least: Mapping[str, float] = field(default_factory=dict)
    most: Mapping[str, float] = field(default_factory=dict)

    def to_sql(self) -> tuple[str, dict[str, Any]]:
        """Return a condition and its parameters. Raises AskedWronglyError on a column that cannot be asked for."""
        conditions, values = ["true"], dict[str, Any]()
        if self.accepted is not None:
            conditions.append("accepted" if self.accepted else "NOT accepted")
        for column, text in self.texts.items():
            _known(column, TEXTS)
            conditions.append(f"{column} = $text_{column}")
            values[f"text_{column}"] = text
        if self.licence is not None:
            conditions.append("list_contains(licences, $licence)")
            values["licence"] = self.licence
        if self.reason is not None:
            conditions.append("len(list_filter(reasons, one -> starts_with(one, $reason))) > 0")
            values["reason"] = self.reason
        for word, bounds in ((">=", self.least), ("<=", self.most)):
            for column, bound in bounds.items():
                _known(column, NUMBERS)
                name = f"{'least' if word == '>=' else 'most'}_{column}"
                conditions.append(f"{column} {word} ${name}")
                values[name] = bound
        return " AND ".join(conditions), values


@dataclass(frozen=True)
class Page:
    """Some triplets, and where the next ones begin; no `cursor` where these are the last."""

    rows: Sequence[Mapping[str, Any]]
    cursor: str | None


class Reader:
    """Answers over the newest version of a store; a new commit is seen at the next question."""

    def __init__(self, store: Store, *, cache: Path | None = None) -> None:
        self._store = store
        self._cache = (cache or cache_of(str(store.root))) / "service"
        self._lock = threading.Lock()
        self._ledger: Ledger | None = None
        self._copy: duckdb.DuckDBPyConnection | None = None
        self._copied = -1

    @property
    def ledger(self) -> Ledger:
        """Return the store at its newest version, opened for audits. Raises AuditError.

        Whether there is a newer one costs one request for the next entry of the log.
        """
        with self._lock:
            if self._ledger is None or self._store.triplets.catch_up() != self._ledger.version:
                self._ledger = Ledger(self._store.root)
            return self._ledger

    def triplets(
        self,
        wanted: Filter,
        *,
        order: str = "candidate_id",
        descending: bool = False,
        after: str | None = None,
        limit: int = 50,
    ) -> Page:
        """Return a page of triplets in an order, from a cursor on. Rows without the score that orders come last.

        Paging is by key: a page costs the same however far it is, and commits meanwhile move nothing.
        Raises AskedWronglyError.
        """
        if order != "candidate_id":
            _known(order, NUMBERS)
        limit = max(1, min(limit, MOST))
        condition, values = wanted.to_sql()
        if after is not None:
            condition += f" AND {_beyond(order, descending, after, values)}"
        way = "DESC" if descending else "ASC"
        by = f"{order} {way} NULLS LAST, candidate_id" if order != "candidate_id" else f"candidate_id {way}"
        rows = self._asked(f"SELECT * FROM triplets WHERE {condition} ORDER BY {by} LIMIT {limit + 1}", values)
        shown = rows[:limit]
        cursor = _cursor(shown[-1][order], shown[-1]["candidate_id"]) if len(rows) > limit else None
        return Page(shown, cursor)

    def count(self, wanted: Filter) -> int:
        """Return how many triplets there are."""
        condition, values = wanted.to_sql()
        return int(self._asked(f"SELECT count(*) AS n FROM triplets WHERE {condition}", values)[0]["n"])

    def triplet(self, candidate: str) -> Mapping[str, Any] | None:
        """Return one triplet by its whole id."""
        rows = self._asked("SELECT * FROM triplets WHERE candidate_id = $id", {"id": candidate})
        return rows[0] if rows else None

    def values(self, column: str, most: int = 200) -> list[tuple[str, int]]:
        """Return the most frequent values of a column with their counts."""
        _known(column, TEXTS)
        rows = self._asked(
            f"SELECT {column} AS v, count(*) AS n FROM triplets GROUP BY 1 ORDER BY n DESC, 1 LIMIT {most}", {}
        )
        return [(row["v"], row["n"]) for row in rows]

    def reasons(self, most: int = 40) -> list[tuple[str, int]]:
        """Return the most frequent reasons, without what differs from row to row, with their counts."""
        sql = (
            "SELECT regexp_replace(reason, '[:<>].*', '') AS v, count(*) AS n FROM (SELECT unnest(reasons) AS reason "
            f"FROM triplets) GROUP BY 1 ORDER BY n DESC, 1 LIMIT {most}"
        )
        return [(row["v"], row["n"]) for row in self._asked(sql, {})]

    def licences(self) -> list[str]:
        """Return the licences that stand in the table."""
        rows = self._asked("SELECT DISTINCT unnest(licences) AS v FROM triplets ORDER BY 1", {})
        return [row["v"] for row in rows]

    def _asked(self, sql: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
        result = self._connection().execute(sql, dict(values))
        names = [column[0] for column in result.description or []]
        return [dict(zip(names, row, strict=True)) for row in result.fetchall()]

    def _connection(self) -> duckdb.DuckDBPyConnection:
        """Return a connection of this thread to the copy of the newest version."""
        ledger = self.ledger
        with self._lock:
            if self._copy is None or self._copied != ledger.version:
                self._copy, self._copied = self._opened(ledger), ledger.version
            return self._copy.cursor()

    def _opened(self, ledger: Ledger) -> duckdb.DuckDBPyConnection:
        import duckdb

        head = next((commit.digest for commit in reversed(ledger.commits) if commit.digest), "none")
        place = self._cache / f"{ledger.version}-{head[:16]}.duckdb"
        if not place.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            part = place.with_suffix(f".{threading.get_ident()}.part")
            listed = ", ".join(f'"{name}"' for name in SHOWN)
            rows = ledger.arrow(f"SELECT {listed} FROM ({ledger.triplets.select()}) ORDER BY candidate_id")
            with duckdb.connect(str(part)) as fresh:
                fresh.register("rows", rows)
                fresh.execute("CREATE TABLE triplets AS SELECT * FROM rows")
            part.replace(place)
            for old in self._cache.glob("*.duckdb"):  # what was taken down since is in them; who has one open keeps it
                if old != place:
                    old.unlink(missing_ok=True)
        connection = duckdb.connect(str(place), read_only=True)
        for key, value in {"threads": 2, "memory_limit": _MEMORY, "enable_external_access": False}.items():
            connection.execute(f"SET {key} = $value", {"value": value})
        connection.execute("SET lock_configuration = true")
        return connection


def _known(column: str, columns: Sequence[str]) -> None:
    if column not in columns:
        raise AskedWronglyError(f"{column}: no such column; there are {', '.join(columns)}")


def _cursor(value: Any, candidate: str) -> str:
    return urlsafe_b64encode(json.dumps([value, candidate]).encode()).decode()


def _beyond(order: str, descending: bool, after: str, values: dict[str, Any]) -> str:
    """Return the condition for rows behind a cursor."""
    try:
        value, candidate = json.loads(urlsafe_b64decode(after.encode()))
        if not isinstance(candidate, str) or not isinstance(value, int | float | str | None):
            raise ValueError
    except (ValueError, TypeError):
        raise AskedWronglyError("after: this is no cursor; take the one that came with the page before") from None
    values["after_id"] = candidate
    if order == "candidate_id":
        return f"candidate_id {'<' if descending else '>'} $after_id"
    if value is None:
        return f"({order} IS NULL AND candidate_id > $after_id)"
    values["after_value"] = value
    word = "<" if descending else ">"
    return f"({order} {word} $after_value OR ({order} = $after_value AND candidate_id > $after_id) OR {order} IS NULL)"
