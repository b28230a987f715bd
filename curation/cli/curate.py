"""`triptych curate`: plan and run curation jobs, calibrate their policy, and look at what came out."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from curation.cli.agreement import agreement
from curation.cli.failure import fail
from curation.cli.simulate import simulate
from curation.cli.status import status
from curation.cli.stores import existing_store, new_store
from curation.cli.submit import jobs, submit

if TYPE_CHECKING:
    from collections.abc import Sequence

    from curation.job import Summary
    from curation.plan import Plan
    from curation.policy.redecide import Comparison
    from curation.report.attempts import AttemptRow
    from curation.spec.model import JobSpec

app = typer.Typer(help="Plan and run curation jobs, calibrate their policy, and look at what came out.")

SpecPath = Annotated[Path, typer.Argument(metavar="SPEC", help="Job spec (YAML); `jobs/` has ready ones.")]
StorePath = Annotated[str, typer.Option("--store", metavar="DIR", help="Folder, or s3://bucket/prefix, of the store.")]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="a.b=c", help="Override a key of the spec; may be repeated.")
]
Limit = Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="Only the first N targets.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to stdout, and nothing else.")]

_FAILED = 1
_INTERRUPTED = 130


@app.command()
def plan(spec: SpecPath, limit: Limit = None, overrides: Overrides = None, as_json: AsJson = False) -> None:
    """Say what a job would do: its stages with their resources, candidates, and estimated time and bytes.

    Runs a dozen targets through the stages in this process to measure; writes nothing.

    Example: `triptych curate plan jobs/demo.yaml --set image.size=256`
    """
    loaded = load_job(spec, overrides)
    from curation.plan import make_plan

    with _reported():
        made = make_plan(loaded, limit)
    if as_json:
        from dataclasses import asdict

        stages = [
            {"name": s.name, "milliseconds": round(s.milliseconds, 2), **s.resources.model_dump()} for s in made.stages
        ]
        typer.echo(json.dumps({**asdict(made), "stages": stages}, indent=1))
    else:
        _print_plan(loaded, made)


@app.command()
def run(
    spec: SpecPath,
    store: StorePath = "runs/store",
    limit: Limit = None,
    overrides: Overrides = None,
    as_json: AsJson = False,
    report: Annotated[bool, typer.Option(help="Write the report when the job is done.")] = True,
) -> None:
    """Run a job: ingest, deduplicate, propose, stylize, destylize, score, decide, pack, commit.

    Ctrl-C stops it; the same command goes on where it stopped, and makes nothing twice.

    Examples:

    `triptych curate run jobs/demo.yaml --store runs/demo`

    `triptych curate run jobs/demo.yaml --store runs/small --limit 50 --set image.size=96`
    """
    loaded = load_job(spec, overrides)
    from curation.job import run_job
    from curation.progress import LiveDisplay

    console = Console(stderr=True)
    again = f"triptych curate run {spec} --store {store}" + (f" --limit {limit}" if limit else "")
    try:
        with _reported(), LiveDisplay(console) as display:
            summary = run_job(loaded, new_store(store), limit=limit, hook=display)
    except KeyboardInterrupt:
        raise fail(f"Interrupted; what was committed stays. To go on: {again}", code=_INTERRUPTED) from None
    written = None
    if report:
        from curation.report.build import write_report

        written = write_report(existing_store(store))
    attempts: Sequence[AttemptRow] = []
    if loaded.attempts.most > 1:
        from curation.report.attempts import attempts_of

        attempts = attempts_of(existing_store(store))
    if as_json:
        told = {"attempts": [vars(row) for row in attempts]} if attempts else {}
        typer.echo(json.dumps({**summary.to_json(), **told, "report": written}, indent=1))
    else:
        _print_summary(summary, store, written, attempts)


@app.command()
def calibrate(
    store: StorePath,
    precision: Annotated[float, typer.Option(min=0.5, max=0.9999, help="Precision that the policy is to keep.")] = 0.95,
    verdicts: Annotated[
        list[Path] | None,
        typer.Option(metavar="CSV", help="An annotator's verdicts (candidate_id, verdict: good or bad); repeatable."),
    ] = None,
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the policy goes.")] = Path("policy.yaml"),
    as_json: AsJson = False,
) -> None:
    """Learn thresholds from candidates of known truth, and write the policy that keeps a stated precision.

    The truth is the atelier's own (jobs that ask for faults), or what most annotators say. Held-out subjects are never
    fitted on; precision and recall are reported on them, and how far scores, judge, annotators and truth agree. A page
    with the curves of every score is written beside the policy.

    Example: `triptych curate calibrate --store runs/calibration --precision 0.95 --out jobs/policies/atelier.yaml`
    """
    from curation.policy.calibrate import CalibrationError
    from curation.report.calibration import calibrate_store

    existing = existing_store(store)
    try:
        outcome = calibrate_store(existing, precision=precision, verdicts=verdicts or [], out=out)
    except CalibrationError as error:
        raise fail(str(error)) from None
    if as_json:
        typer.echo(json.dumps(outcome.to_json(), indent=1))
    else:
        console = Console()
        console.width = max(console.width, 128)
        told = [outcome.to_table(), *([agreed] if (agreed := outcome.to_agreement()) else []), *outcome.to_lines()]
        console.print(*told, sep="\n", highlight=False)


@app.command()
def redecide(
    store: StorePath,
    policy: Annotated[Path, typer.Option(metavar="FILE", help="Policy (YAML): a list of rules.")],
    changes: Annotated[Path | None, typer.Option(metavar="CSV", help="Write every change to this file.")] = None,
    as_json: AsJson = False,
) -> None:
    """Apply another policy to a committed manifest and show what would change; needs no image and no model.

    Example: `triptych curate redecide --store runs/demo --policy jobs/policies/atelier.yaml`
    """
    from pydantic import ValidationError

    from curation.policy.redecide import COLUMNS, compare
    from curation.policy.rules import read_policy
    from curation.spec.load import PAGE
    from manifests.yaml_file import describe

    existing = existing_store(store)
    try:
        other = read_policy(policy)
    except ValidationError as error:
        raise fail("\n".join(f"{policy}: {line}" for line in describe(error, page=PAGE))) from None
    except ValueError as error:
        raise fail(str(error)) from None
    comparison = compare(existing.triplets.read(COLUMNS), other)
    if changes is not None:
        _write_changes(comparison, changes)
    if as_json:
        payload = {key: value for key, value in vars(comparison).items() if key != "changes"}
        typer.echo(json.dumps({**payload, "changed": len(comparison.changes)}, indent=1))
    else:
        _print_comparison(comparison, changes)


@app.command()
def report(store: StorePath) -> None:
    """Write the report of a store again: one self-contained HTML file.

    Example: `triptych curate report --store runs/demo`
    """
    from curation.report.build import write_report

    typer.echo(write_report(existing_store(store)))


app.command()(simulate)
app.command()(status)
app.command()(submit)
app.add_typer(jobs, name="jobs")
app.command()(agreement)


class _reported:  # noqa: N801 - reads as a word in `with _reported():`
    """Turns errors that a user can mend into one line and code 2, and what broke on the way into one and code 1."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        from curation.cluster import ClusterError
        from curation.corpus.cache import CorpusMissing
        from curation.experts import ExpertError
        from curation.job import NothingToDoError
        from curation.scoring_error import ScoringError
        from manifests.tables import StoreBusyError

        told = getattr(error, "cause", None) or error  # what a task on Ray raised
        mended = ClusterError | CorpusMissing | ExpertError | NothingToDoError | ScoringError | StoreBusyError
        if isinstance(told, mended):
            raise fail(str(told)) from None
        if isinstance(error, OSError) or type(error).__module__.startswith("ray."):
            cause = next((line for line in reversed(str(error).splitlines()) if line.strip()), repr(error))
            message = f"The job failed: {cause.strip()}\nWhat was committed stays; the same command goes on from there."
            raise fail(message, code=_FAILED) from None


def load_job(path: Path, overrides: list[str] | None) -> JobSpec:
    """Return a job spec, or end the command with every fault of it."""
    from curation.spec.load import load_spec
    from manifests.yaml_file import YamlError

    try:
        return load_spec(path, overrides or [])
    except YamlError as error:
        raise fail(str(error)) from None


def _print_plan(spec: JobSpec, made: Plan) -> None:
    from rich.table import Table

    console = Console()
    console.print(
        f"[bold]{spec.name}[/]: {made.targets:,} targets ({made.subjects:,} subjects, {made.styles} styles, "
        f"{made.heldout_targets:,} held out), {made.candidates:,} candidates",
        highlight=False,
    )
    table = Table("stage", "CPUs", "GPUs", "workers", "batch", "ms a candidate", box=None, padding=(0, 2))
    for stage in made.stages:
        low, high = stage.resources.workers
        workers = f"{low}" if low == high else f"{low} to {high}"
        resources = stage.resources
        table.add_row(
            stage.name,
            f"{resources.cpus:g}",
            f"{resources.gpus:g}",
            workers,
            str(resources.batch),
            f"{stage.milliseconds:.2f}",
        )
    table.add_row("decide, pack", f"{spec.stages.pack.cpus:g}", "0", "1", str(spec.shards.candidates), "")
    console.print(table)
    console.print(
        f"about {made.seconds / 60:.1f} minutes on {made.cpus} cores, at most {made.bytes / 1e6:,.0f} MB of shards "
        f"in {made.shard_batches} commits; measured on {made.sampled} targets"
        + (f", {made.refused_in_sample} of them refused" if made.refused_in_sample else ""),
        highlight=False,
    )
    if made.cost:
        console.print(
            f"endpoints draw images for {made.cost:,.2f} by the spec's prices; none was asked, so times are without",
            highlight=False,
        )
    if made.worst.attempts > 1:
        console.print(
            f"at worst, with {made.worst.attempts} attempts at each: {made.worst.candidates:,} candidates, "
            f"{made.worst.seconds / 60:.1f} minutes"
            + (f", images for {made.worst.cost:,.2f}" if made.worst.cost else ""),
            highlight=False,
        )


def _print_summary(summary: Summary, store: str, report_file: str | None, attempts: Sequence[AttemptRow]) -> None:
    from curation.progress import funnel
    from curation.report.attempts import attempts_table

    console = Console()
    console.print(funnel(summary.progress), highlight=False)
    if attempts:
        console.print(attempts_table(attempts), highlight=False)
    rows = [("shards", f"{store}/shards"), ("manifest", f"{store}/tables"), ("index", f"{store}/index.json")]
    if report_file:
        rows.append(("report", report_file))
    for name, path in rows:
        console.print(f"{name:>9}  {path}", highlight=False, soft_wrap=True)
    if summary.progress.other_policy:
        console.print(
            f"{summary.progress.other_policy:,} candidates were decided by an earlier policy and stay so; "
            "`triptych curate redecide` shows what another one would change",
            highlight=False,
        )
    console.print(f"finished in {summary.seconds:.0f} s", highlight=False)


def _print_comparison(comparison: Comparison, changes: Path | None) -> None:
    from rich.table import Table

    console = Console()
    gained = sum(change.accepted_after for change in comparison.changes)
    console.print(
        f"{comparison.candidates:,} candidates: {comparison.accepted_before:,} accepted before, "
        f"{comparison.accepted_after:,} after ({gained:,} more let in, {len(comparison.changes) - gained:,} shut out)",
        highlight=False,
    )
    table = Table("reason", "before", "after", box=None, padding=(0, 2))
    for reason in sorted(comparison.reasons_before.keys() | comparison.reasons_after.keys()):
        before, after = comparison.reasons_before[reason], comparison.reasons_after[reason]
        if before != after:
            table.add_row(reason, f"{before:,}", f"{after:,}")
    console.print(table)
    for column in comparison.unmeasured:
        console.print(f"no candidate has {column}: the rule on it rejects nobody", style="yellow", highlight=False)
    if changes:
        console.print(f"every change: {changes}", highlight=False)


def _write_changes(comparison: Comparison, path: Path) -> None:
    import csv
    from dataclasses import asdict, fields

    from curation.policy.redecide import Change

    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Change)])
        writer.writeheader()
        for change in comparison.changes:
            row = asdict(change)
            writer.writerow({**row, **{key: " ".join(row[key]) for key in ("reasons_before", "reasons_after")}})
