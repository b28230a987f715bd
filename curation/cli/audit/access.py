"""`triptych audit access` and `triptych audit log`."""

from __future__ import annotations

from typing import Annotated

import typer

from curation.cli.audit._options import FOUND, AsJson, StorePath
from curation.cli.audit._output import echo_json, echo_table
from curation.cli.failure import fail
from curation.cli.stores import existing_store

_SHOWN = 50


def access(
    store: StorePath,
    grant: Annotated[
        list[str] | None,
        typer.Option("--grant", metavar="RIGHT=NAME", help="read_tables, read_images or take_down; * is everybody."),
    ] = None,
    revoke: Annotated[
        list[str] | None, typer.Option("--revoke", metavar="RIGHT=NAME", help="Take a right away again.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show who may read tables, read images and take down, or change it; a store with roles logs every audit.

    Who is at work is what TRIPTYCH_USER says, else the name that the operating system has: an agreement, no lock. The
    first grant of a right takes it from everybody else. Those who may take down may change roles.

    Example: `triptych audit access --store runs/demo --grant take_down=ana --grant read_images=ana`
    """
    existing = existing_store(store)
    from manifests.audit.access import (
        ANYONE,
        AccessError,
        Roles,
        read_roles,
        record_access,
        require,
        whoami,
        write_roles,
    )
    from manifests.audit.errors import AuditError

    try:
        before = read_roles(existing.files)
        if grant or revoke:
            require(before, whoami(), "take_down")
            names = (before or Roles()).model_dump()
            for option, words in (("--grant", grant or []), ("--revoke", revoke or [])):
                for right, name in (_pair(option, word) for word in words):
                    kept = [one for one in names[right] if one not in (name, ANYONE)]
                    names[right] = [*kept, name] if option == "--grant" else kept
            write_roles(existing.files, Roles(**names))
            record_access(existing.files, whoami(), "access", {"grant": grant, "revoke": revoke}, "done")
    except AccessError as error:
        record_access(existing.files, whoami(), "access", {"grant": grant, "revoke": revoke}, "refused")
        raise fail(str(error)) from None
    except (AuditError, OSError) as error:
        raise fail(str(error)) from None
    roles = read_roles(existing.files)
    if as_json:
        echo_json(None if roles is None else roles.model_dump())
    elif roles is None:
        typer.echo("no roles: everybody who reaches the store may do everything, and audits are not logged")
    else:
        echo_table([{"right": right, "held by": list(held) or "nobody"} for right, held in roles.model_dump().items()])


def log(
    store: StorePath,
    everything: Annotated[bool, typer.Option("--all", help="All entries rather than the last 50.")] = False,
    as_json: AsJson = False,
) -> None:
    """Print who audited what, and check that no entry was changed or taken out; exit code 1 where one was.

    Example: `triptych audit log --store runs/demo`
    """
    existing = existing_store(store)
    from manifests.audit.access import faults_of, read_log
    from manifests.audit.errors import AuditError

    try:
        entries = list(read_log(existing.files))
    except (AuditError, OSError) as error:
        raise fail(str(error)) from None
    faults = faults_of(entries)
    shown = entries if everything else entries[-_SHOWN:]
    if as_json:
        echo_json({"entries": [vars(entry) for entry in shown], "faults": faults})
    else:
        echo_table(
            [
                {
                    "time": entry.time,
                    "who": entry.who,
                    "verb": entry.verb,
                    "what": ", ".join(f"{key} {value}" for key, value in entry.subject.items()),
                    "outcome": entry.outcome,
                }
                for entry in shown
            ]
        )
        typer.echo("\n".join(faults) if faults else f"{len(entries):,} entries, each following the one before it")
    if faults:
        raise typer.Exit(FOUND)


def _pair(option: str, word: str) -> tuple[str, str]:
    from manifests.audit.access import RIGHTS

    right, _, name = word.partition("=")
    if right not in RIGHTS or not name:
        raise fail(f"{option} {word}: write it as RIGHT=NAME, where RIGHT is one of {', '.join(RIGHTS)}")
    return right, name


def add_to(app: typer.Typer) -> None:
    """Add the verbs."""
    app.command()(access)
    app.command()(log)
