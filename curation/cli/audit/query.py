"""`triptych audit query`."""

from __future__ import annotations

import csv
import sys
from typing import Annotated, Literal

import typer
from rich.console import Console

from curation.cli.audit._options import AsJson, AtVersion, StorePath, ledger_of
from curation.cli.audit._output import echo_json, echo_table


def query(
    sql: Annotated[
        str, typer.Argument(metavar="SQL", help="One SELECT; `triptych audit schema` explains the columns.")
    ],
    store: StorePath,
    version: AtVersion = None,
    form: Annotated[
        Literal["table", "csv", "json"], typer.Option("--format", help="How the rows are printed.")
    ] = "table",
    as_json: AsJson = False,
    rows: Annotated[int, typer.Option("--rows", min=1, metavar="N", help="Stop after so many rows.")] = 1000,
    seconds: Annotated[float, typer.Option("--seconds", min=0.1, metavar="S", help="Stop after so much time.")] = 60.0,
    memory: Annotated[str, typer.Option("--memory", metavar="SIZE", help="Stop where more memory is needed.")] = "1GB",
) -> None:
    """Ask the tables in SQL (DuckDB), at any version; nothing can be written, and no other file be read.

    Tables: triplets, assets, judgements, jobs, commits, shards.

    Example: `triptych audit query "select layout, count(*) from triplets group by all" --store runs/demo`
    """
    with ledger_of(store, version) as ledger:
        from manifests.audit.query import query as ask

        answer = ask(ledger, sql, rows=rows, seconds=seconds, memory=memory)
    if as_json or form == "json":
        echo_json(answer.rows)
    elif form == "csv":
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(answer.table.column_names)
        writer.writerows([row.values() for row in answer.rows])
    else:
        echo_table(answer.rows)
    if answer.more:
        Console(stderr=True).print(f"There are more than {rows:,} rows; --rows shows more.")


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(query)
