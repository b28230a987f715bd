"""A filter that a user wrote, `where` of a recipe: checked before it is run, and its faults told."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import pyarrow as pa

_CHANGING = re.compile(r"\b(random|uuid|now|today|current_date|current_time|current_timestamp)\b", re.IGNORECASE)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
_PREFIX = re.compile(r"^((SQL|Schema|Arrow|Cast|External|Parquet|Compute) error|Error during planning|External): ")
_INNER = re.compile(r"(?:ParserError|TokenizerError|CastError)\(\"(.*?)\"\)")
_LONGEST = 200


class WhereError(ValueError):
    """A `where` cannot be used; the message names the fault and the columns that there are."""

    def __init__(self, where: str, fault: str, columns: Sequence[str]) -> None:
        super().__init__(f"where: {' '.join(where.split())!r}: {fault}; the columns are {', '.join(columns)}")


def condition(where: str) -> str:
    """Return a checked `where` as a condition that is true or false, never null.

    deltalake 1.6 loses the `null` of `accepted and null` on the way from the query to its table, and so keeps every
    row; what stands inside of a `case` never takes that way. The line breaks end a comment with which the filter
    may close.
    """
    return f"case when\n{where}\nthen true else false end"


def check(where: str, columns: Sequence[str], source: str, query: Callable[[str], pa.Table]) -> None:
    """Raise WhereError unless a filter is one expression over the columns of `source` that is true or false.

    `query` runs SQL. A text that parses both between brackets and between `when` and `then` is one expression: what
    closes either early is a fault in the other. No row is read.
    """
    if _CHANGING.search(_QUOTED.sub("", where)):
        raise WhereError(where, "it gives other rows at another time, and a run could not be resumed", columns)
    try:
        kind = query(f"select (\n{where}\n) from {source} limit 0").schema.types
        query(f"select 1 from {source} where {condition(where)} limit 0")
    except Exception as error:  # deltalake raises the bare class too
        raise WhereError(where, fault_of(error, where), columns) from None
    if kind != [pa.bool_()]:
        raise WhereError(where, f"it gives {', '.join(map(str, kind))}, not true or false", columns)


def fault_of(error: Exception, where: str) -> str:
    """Return what is wrong with a filter in one line, out of what DataFusion says of the statement around it."""
    lines = [line for line in str(error).splitlines() if line.strip() and line != "caused by"]
    unknown = re.search(r"No field named (.+?)\.(?: |$)", lines[0])
    if unknown:
        return f"there is no column {unknown[1]}"
    text = " ".join(lines[-2:]) if lines[-1].startswith("Did you mean") else lines[-1]
    inner = _INNER.search(text)
    if inner:
        text = inner[1]
    past = 2 + len(where.splitlines() or [""])
    text = re.sub(rf", found: \S+ at Line: {past}, Column: \d+", ", found: its end", text)
    text = text.replace("Expected: end of statement, found: when", "it is not one expression")
    text = re.sub(r" at Line: \d+, Column: \d+", "", text)
    while (shorter := _PREFIX.sub("", text)) != text:
        text = shorter
    return text[:_LONGEST].rstrip(".")
