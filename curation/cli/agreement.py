"""`triptych curate agreement`."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
import yaml
from rich.console import Console
from rich.table import Table

from curation.cli.failure import fail
from curation.cli.stores import existing_store


def agreement(
    store: Annotated[str, typer.Option("--store", metavar="DIR", help="The store.")],
    verdicts: Annotated[
        list[Path] | None,
        typer.Option("--verdicts", metavar="CSV", help="An annotator's verdicts (candidate_id, verdict); repeatable."),
    ] = None,
    policy: Annotated[
        Path | None, typer.Option("--policy", metavar="FILE", help="Rules; those of the store's last job unless given.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON to stdout, and nothing else.")] = False,
) -> None:
    """Tell how far scores, judge, annotators and truth agree: Cohen's kappa with its 95 % interval, pair by pair.

    A judge counts as having accepted what satisfies the policy's rules on it, or 3 of 4 in every part without any.

    Example: `triptych curate agreement --store runs/demo --verdicts ann.csv --verdicts bob.csv`
    """
    from curation.policy.agreement import agreements, opinions
    from curation.policy.calibrate import CalibrationError
    from curation.policy.labels import read_verdicts
    from curation.policy.redecide import COLUMNS
    from curation.policy.rules import Policy, read_policy

    existing = existing_store(store)
    try:
        annotators = {path.stem: read_verdicts(path) for path in verdicts or []}
        rules = read_policy(policy) if policy else None
    except (CalibrationError, ValueError) as error:
        raise fail(str(error)) from None
    if rules is None:
        jobs = sorted(existing.jobs.read(["spec", "started"]).to_pylist(), key=lambda job: str(job["started"]))
        rules = Policy.model_validate(yaml.safe_load(jobs[-1]["spec"]).get("policy") or {}) if jobs else Policy()
    rows = existing.triplets.read([*COLUMNS, "truth"]).to_pylist()
    found = agreements(opinions(rows, rules, annotators))
    if as_json:
        typer.echo(json.dumps([asdict(each) for each in found], indent=1))
        return
    if not found:
        typer.echo("No two of scores, judge, annotators and truth speak of the same candidates.")
        return
    table = Table("pair", "candidates", "agree", "kappa", "95 % interval", box=None, padding=(0, 2))
    for each in found:
        interval = "" if math.isnan(each.low) else f"{each.low:.2f} to {each.high:.2f}"
        number = "n/a" if math.isnan(each.kappa) else f"{each.kappa:.2f}"
        table.add_row(f"{each.first}, {each.second}", f"{each.candidates:,}", f"{each.observed:.1%}", number, interval)
    Console().print(table)
