"""`triptych audit descendants`."""

from __future__ import annotations

import typer

from curation.cli.audit._options import AsJson, AtVersion, Runs, StorePath
from curation.cli.audit._walk import Dot, Limit, Start, Svg, walk_and_show


def descendants(
    one: Start,
    store: StorePath,
    version: AtVersion = None,
    runs: Runs = None,
    dot: Dot = None,
    svg: Svg = None,
    limit: Limit = 5000,
    as_json: AsJson = False,
) -> None:
    """Show what was made of a thing: candidates, shards, commits, and the training runs and checkpoints of --runs.

    Exit code 1 where something could not be told; it is said what is missing.

    Example: `triptych audit descendants 033bc973 --store runs/demo --runs runs/train --svg descendants.svg`
    """
    walk_and_show("descendants", one, store, version, runs or [], dot, svg, limit, as_json)


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(descendants)
