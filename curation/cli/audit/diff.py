"""`triptych audit diff`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from curation.cli.audit._options import FOUND, AsJson, StorePath, ledger_of
from curation.cli.audit._output import echo_json, echo_table

if TYPE_CHECKING:
    from manifests.audit.diff import Report


def diff(
    first: Annotated[int, typer.Argument(metavar="V1", min=0, help="A version of the store.")],
    second: Annotated[int, typer.Argument(metavar="V2", min=0, help="Another version.")],
    store: StorePath,
    rows: Annotated[int, typer.Option("--rows", min=0, metavar="N", help="Single changes to show.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Tell what came, went, and changed its decision between two versions, and why: rules, thresholds, scores.

    Exit code 1 where rows went or changed; a store that has only grown gives 0.

    Example: `triptych audit diff 3 6 --store runs/demo`
    """
    with ledger_of(store, first) as before, ledger_of(store, second) as after:
        from manifests.audit.diff import report

        found = report(before, after, rows=rows)
    if as_json:
        echo_json(found)
    else:
        _print(found)
    if found.went or found.changed:
        raise typer.Exit(FOUND)


def _print(found: Report) -> None:
    typer.echo(f"{found.root}, version {found.first} to {found.second}")
    typer.echo(
        f"  candidates {found.candidates[0]:,} -> {found.candidates[1]:,}, "
        f"accepted {found.accepted[0]:,} -> {found.accepted[1]:,}"
    )
    typer.echo(f"  came     {found.came:,}, {found.came_accepted:,} of them accepted")
    typer.echo(f"  went     {found.went:,}, {found.went_accepted:,} of them had been accepted")
    typer.echo(
        f"  changed  {found.changed:,}, {found.newly_accepted:,} of them newly accepted, "
        f"{found.newly_rejected:,} newly rejected"
    )
    if found.told_from < found.changed:
        typer.echo(f"  the causes are those of {found.told_from:,} of them")
    typer.echo(f"  shards   {len(found.shards_came):,} came, {len(found.shards_went):,} went")
    for cause, count in found.why.items():
        typer.echo(f"  changed in {cause}: {count:,}")
    for words in found.policies:
        typer.echo(f"  policy: {words}")
    echo_table([{"reason": key, "before": old, "after": new} for key, (old, new) in found.reasons.items()])
    echo_table(found.commits, title="\nCommits")
    echo_table([one for one in found.shown if one["change"] == "changed"], title="\nChanged")
    echo_table([one for one in found.shown if one["change"] != "changed"], title="\nCame and went")


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(diff)
