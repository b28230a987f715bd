"""`triptych audit explain`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from curation.cli.audit._options import FOUND, AsJson, AtVersion, StorePath, ledger_of, write_file
from curation.cli.audit._output import echo_json


def explain(
    one: Annotated[str, typer.Argument(metavar="ID", help="Id of a candidate or image, or its first digits.")],
    store: StorePath,
    version: AtVersion = None,
    html: Annotated[
        Path | None, typer.Option("--html", metavar="FILE", help="Write a page with the pictures as well.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell the whole story of a candidate or image: sources, experts, scores, judge, rules, decision, shard, job.

    Exit code 1 where the record does not agree with itself, e.g. a decision that scores and rules do not give.

    Example: `triptych audit explain 03f691b2 --store runs/demo --html story.html`
    """
    with ledger_of(store, version) as ledger:
        from manifests.audit.explain import explain as story_of
        from manifests.audit.explain_page import page_of
        from manifests.audit.explain_text import text_of

        story = story_of(ledger, one)
        if html is not None:
            write_file(html, page_of(ledger, story))
        if as_json:
            echo_json(story)
        else:
            typer.echo(text_of(story))
    if story.findings:
        raise typer.Exit(FOUND)


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(explain)
