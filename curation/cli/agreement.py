"""`triptych curate agreement`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer
import yaml
from rich.console import Console

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
    from curation.policy.labels import read_annotators
    from curation.policy.redecide import COLUMNS
    from curation.policy.rules import Policy, read_policy
    from curation.report.agreement import agreement_table

    existing = existing_store(store)
    try:
        annotators = read_annotators(verdicts or [])
        rules = read_policy(policy) if policy else None
    except (CalibrationError, ValueError) as error:
        raise fail(str(error)) from None
    if rules is None:
        jobs = sorted(existing.jobs.read(["spec", "started"]).to_pylist(), key=lambda job: str(job["started"]))
        rules = Policy.model_validate(yaml.safe_load(jobs[-1]["spec"]).get("policy") or {}) if jobs else Policy()
    rows = existing.triplets.read([*COLUMNS, "truth"]).to_pylist()
    found = agreements(opinions(rows, rules, annotators))
    if as_json:
        typer.echo(json.dumps([each.to_json() for each in found], indent=1))
    elif not found:
        typer.echo("No two of scores, judge, annotators and truth speak of the same candidates.")
    else:
        Console().print(agreement_table(found))
