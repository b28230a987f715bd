"""Finding rows by the ids that people hold: whole ones, or as many first digits as make them unique."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from manifests.audit.ledger import AuditError, Ledger
from manifests.audit.table_at import TableAt
from manifests.records import ROLES

SHORTEST = 4
"""Fewest digits of an id that are looked up."""

REFS = tuple(f"{role}_ref" for role in ROLES)
"""Columns of `triplets` that name images by `ref_id`."""

_SHOWN = 5


def candidate(ledger: Ledger, prefix: str) -> dict[str, Any] | None:
    """Return the row of `triplets` whose id is, or begins with, these digits; None where there is none.

    Raises AuditError where several begin so.
    """
    rows = rows_with(ledger, ledger.triplets, ["candidate_id"], prefix)
    ids = sorted({row["candidate_id"] for row in rows})
    if len(ids) > 1:
        raise _ambiguous(prefix, "candidates", ids)
    return rows[0] if rows else None


def images(ledger: Ledger, prefix: str) -> list[dict[str, Any]]:
    """Return the rows of `assets` of one image, by its asset id or reference id or their first digits.

    The same bytes may have come by several ways, and have a row for each. Raises AuditError where several images
    begin so.
    """
    rows = rows_with(ledger, ledger.assets, ["asset_id", "ref_id"], prefix)
    names = sorted({row["asset_id"] or row["ref_id"] for row in rows})
    if len(names) > 1:
        raise _ambiguous(prefix, "images", names)
    return rows


def by_refs(ledger: Ledger, refs: Sequence[str]) -> list[dict[str, Any]]:
    """Return the rows of `assets` with these reference ids."""
    return rows_in(ledger, ledger.assets, "ref_id", refs)


def users_of(ledger: Ledger, refs: Sequence[str], *, columns: str = "*") -> list[dict[str, Any]]:
    """Return the rows of `triplets` in which one of these references stands, in any role."""
    if not refs:
        return []
    files = ledger.index.files(ledger.triplets, REFS, refs)
    wanted = " OR ".join(f"list_contains($ids, {column})" for column in REFS)
    sql = f"SELECT {columns} FROM ({ledger.triplets.select(files)}) WHERE {wanted}"
    return ledger.rows(sql, {"ids": list(refs)})


def rows_in(
    ledger: Ledger, table: TableAt, column: str, ids: Sequence[str], *, columns: str = "*"
) -> list[dict[str, Any]]:
    """Return the rows of a table whose column is one of these ids."""
    if not ids:
        return []
    files = ledger.index.files(table, [column], ids)
    sql = f"SELECT {columns} FROM ({table.select(files)}) WHERE {column} IN (SELECT unnest($ids))"
    return ledger.rows(sql, {"ids": list(ids)})


def rows_with(ledger: Ledger, table: TableAt, columns: Sequence[str], prefix: str) -> list[dict[str, Any]]:
    """Return the rows of a table of which one of the columns begins with these digits."""
    if len(prefix) < SHORTEST:
        raise AuditError(f"{prefix!r} is too short; give at least {SHORTEST} digits of the id")
    files = ledger.index.files(table, columns, [prefix])
    wanted = " OR ".join(f"starts_with({column}, $prefix)" for column in columns)
    return ledger.rows(f"SELECT * FROM ({table.select(files)}) WHERE {wanted} LIMIT 1000", {"prefix": prefix})


def _ambiguous(prefix: str, what: str, ids: Sequence[str]) -> AuditError:
    more = f" and {len(ids) - _SHOWN} more" if len(ids) > _SHOWN else ""
    return AuditError(f"{prefix}: {len(ids)} {what} begin so: {', '.join(ids[:_SHOWN])}{more}; give more digits")
