"""A stage's fault costs the rows that cause it, and nothing else."""

from __future__ import annotations

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from curation.graph.rows import SCHEMA, Row, is_open, reject, short_reason, to_table
from curation.graph.stage import Stage, StageWorker


class Picky(Stage):
    """Fails on the whole batch as soon as one of its rows is of a subject that it cannot stand."""

    name = "picky"

    def process(self, rows: list[Row]) -> None:
        for row in rows:
            if row["subject"].startswith("bad"):
                raise OSError(f"cannot draw {row['subject']}")
            row["style_similarity"] = 1.0


def row(subject: str, reasons: tuple[str, ...] = ()) -> Row:
    return {"candidate_id": subject, "subject": subject, "reasons": list(reasons), "errors": [], "skipped": []}


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["good", "bad", "done"]), st.integers()), max_size=12))
def test_good_rows_are_worked_on_bad_ones_carry_the_error_and_rejected_ones_pass_by(
    kinds: list[tuple[str, int]],
) -> None:
    rows = [row(f"{kind} {n}", ("ingest:truncated",) if kind == "done" else ()) for kind, n in kinds]
    table = StageWorker(Picky, {})(to_table(rows))
    assert table.schema == SCHEMA
    for before, after in zip(rows, table.to_pylist(), strict=True):
        kind = before["subject"].split()[0]
        assert after["candidate_id"] == before["candidate_id"]
        if kind == "good":
            assert (after["style_similarity"], after["reasons"]) == (1.0, [])
        elif kind == "bad":
            assert after["reasons"] == ["picky_failed:OSError"]
            assert before["subject"] in after["errors"][0]
            assert after["style_similarity"] is None
        else:
            assert after["reasons"] == ["ingest:truncated"]
            assert after["skipped"] == ["picky"]


def test_a_column_of_nulls_keeps_its_type() -> None:
    table = to_table([row("a"), row("b")])
    assert not any(pa.types.is_null(field.type) for field in table.schema)


def test_rejecting_closes_a_row_and_keeps_the_detail() -> None:
    one = row("a")
    assert is_open(one)
    reject(one, "load_failed:changed", "a.png is another file now")
    assert not is_open(one)
    assert one["errors"] == ["load_failed:changed: a.png is another file now"]


def test_reasons_are_counted_without_what_differs_from_row_to_row() -> None:
    assert short_reason("duplicate_of:abc") == "duplicate_of"
    assert short_reason("ingest:truncated") == "ingest:truncated"
