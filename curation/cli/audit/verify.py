"""`triptych audit verify`."""

from __future__ import annotations

import typer

from curation.cli import verifying


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(verifying.verify)
