"""`triptych audit balance`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from curation.cli.audit._options import FOUND, AsJson, AtVersion, StorePath, ledger_of
from curation.cli.audit._output import echo_json, echo_table

if TYPE_CHECKING:
    from manifests.audit.balance import Balance


def balance(
    store: StorePath,
    version: AtVersion = None,
    distance: Annotated[
        int, typer.Option("--distance", min=0, max=63, help="Differing bits up to which hashes are near-duplicates.")
    ] = 10,
    largest: Annotated[int, typer.Option("--largest", min=1, metavar="N", help="Largest values to show.")] = 5,
    too_large: Annotated[
        float, typer.Option("--too-large", min=0, max=1, help="Share from which one subject, style or target is told.")
    ] = 0.2,
    as_json: AsJson = False,
) -> None:
    """Tell unique subjects, styles and targets, the largest shares, caps, score drift between jobs, near-duplicates.

    Exit code 1 where one value has too large a share, a score drifted (PSI of 0.25 or more, and more than by chance),
    or targets repeat.

    Example: `triptych audit balance --store runs/demo`
    """
    with ledger_of(store, version) as ledger:
        from manifests.audit.balance import balance as balance_of

        found = balance_of(ledger, distance=distance, shown=largest, too_large=too_large)
    if as_json:
        echo_json(found)
    else:
        _print(found)
    if found.findings:
        raise typer.Exit(FOUND)


def _print(found: Balance) -> None:
    typer.echo(f"{found.root}, version {found.version}: {found.accepted:,} accepted of {found.candidates:,} candidates")
    echo_table(
        [
            {
                "column": spread.column,
                "values": spread.values,
                "as diverse as": f"{spread.effective:,.1f}",
                "largest": ", ".join(f"{name} {share:.1%}" for name, _, share in spread.largest),
            }
            for spread in found.spreads
        ],
        title="\nSpread of the accepted triplets",
    )
    echo_table(
        [{"cap": cap.what, "limit": cap.limit, "reached": cap.hit, "job": cap.job} for cap in found.caps],
        title="\nCaps",
    )
    echo_table(
        [
            {
                "score": one.score,
                "from job": one.before,
                "to job": one.after,
                "rows": f"{one.rows_before:,} / {one.rows_after:,}",
                "mean": f"{one.mean_before:.4g} -> {one.mean_after:.4g}",
                "PSI": f"{one.psi:.3f}",
                "by chance": f"{one.chance:.3f}",
                "KS": f"{one.ks:.3f}",
                "shift": one.verdict,
            }
            for one in found.drift
        ],
        title="\nScores of each job beside those of the job before",
    )
    typer.echo(
        f"\nNear-duplicates: {found.near_duplicate_targets:,} of {found.hashed_targets:,} targets, "
        f"in {found.near_duplicate_clusters:,} clusters"
    )
    for cluster in found.clusters:
        named = ", ".join(f"{one['subject']} ({one['style']})" for one in cluster.members)
        more = f" and {cluster.targets - len(cluster.members):,} more" if cluster.targets > len(cluster.members) else ""
        typer.echo(f"  {cluster.targets:,} targets, {cluster.triplets:,} triplets: {named}{more}")
    for finding in found.findings:
        typer.echo(f"Found: {finding}")


def add_to(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(balance)
