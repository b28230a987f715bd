"""`triptych audit schema`."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

import typer

from curation.cli.audit._options import AsJson
from curation.cli.audit._output import echo_json, echo_table
from curation.cli.failure import fail


def schema(
    table: Annotated[str | None, typer.Argument(metavar="TABLE", help="Only this table.")] = None,
    as_json: AsJson = False,
) -> None:
    """Explain every column of every table that a query may name.

    Example: `triptych audit schema triplets`
    """
    from manifests.audit.schema import QUERIED
    from manifests.audit.schema import schema as columns

    if table is not None and table not in QUERIED:
        raise fail(f"{table}: there is no such table; there are {', '.join(QUERIED)}")
    rows = [asdict(column) for column in columns() if table in (None, column.table)]
    if as_json:
        echo_json(rows)
        return
    for name in dict.fromkeys(row["table"] for row in rows):
        echo_table(
            [
                {"column": row["name"], "type": row["type"] + ("?" if row["null"] else ""), "meaning": row["meaning"]}
                for row in rows
                if row["table"] == name
            ],
            title=f"\n{name}",
        )
    typer.echo("\nA question mark: the column may be null.")


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(schema)
