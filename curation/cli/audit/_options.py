"""Options that the verbs of an audit share, and opening the store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from curation.cli.failure import fail

if TYPE_CHECKING:
    from manifests.audit.ledger import Ledger
    from manifests.licence_policy import LicencePolicy

StorePath = Annotated[str, typer.Option("--store", metavar="DIR", help="The store: a folder, or s3://bucket/prefix.")]
AtVersion = Annotated[
    int | None, typer.Option("--version", min=0, metavar="N", help="The store as of this version; the newest if none.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to stdout, and nothing else.")]
Runs = Annotated[
    list[Path] | None,
    typer.Option("--runs", metavar="DIR", help="Folder of a training run, or one that holds several; may be repeated."),
]

FOUND = 1
"""Exit code where an audit found something."""


@contextmanager
def ledger_of(store: str, version: int | None = None) -> Iterator[Ledger]:
    """Open a store for an audit; what cannot be done as asked ends the command in one line."""
    try:
        from manifests.audit.ledger import AuditError, Ledger
    except ModuleNotFoundError as error:
        raise fail(f"audits need {error.name}; pip install 'triptych[audit]'") from None
    try:
        yield Ledger(store, version)
    except AuditError as error:
        raise fail(str(error)) from None


def write_file(path: Path, text: str) -> None:
    """Write a file that the user named, or end the command saying why that cannot be."""
    try:
        path.write_text(text)
    except OSError as error:
        raise fail(f"{path}: cannot be written: {error.strerror}") from None


def policy_in(path: Path | None) -> LicencePolicy | None:
    """Read a licence policy where one is named; a faulty one ends the command in one line."""
    if path is None:
        return None
    from manifests.licence_policy import LicencePolicyError, read_licence_policy

    try:
        return read_licence_policy(path)
    except LicencePolicyError as error:
        raise fail(str(error)) from None
