"""`triptych curate submit` and `triptych curate jobs`: jobs on a cluster elsewhere, through Ray Jobs."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from curation.cli.failure import fail

if TYPE_CHECKING:
    from curation.submit import Jobs, Sent

jobs = typer.Typer(
    help="Jobs that were sent to a cluster: list them, follow their logs, cancel them.", no_args_is_help=True
)

Address = Annotated[
    str,
    typer.Option("--address", metavar="URL", envvar="RAY_API_SERVER_ADDRESS", help="Dashboard of the cluster's head."),
]
JobId = Annotated[str, typer.Argument(metavar="JOB", help="The id that `submit` printed.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to stdout, and nothing else.")]

_FAILED = 1
_STOPPED = 130


def submit(
    spec: Annotated[Path, typer.Argument(metavar="SPEC", help="Job spec (YAML); it and the files it names are sent.")],
    address: Address,
    store: Annotated[str, typer.Option("--store", metavar="URL", help="s3://bucket/prefix, or a shared folder.")],
    limit: Annotated[int | None, typer.Option("--limit", min=1, metavar="N", help="Only the first N targets.")] = None,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="a.b=c", help="Override a key of the spec; may be repeated.")
    ] = None,
    pip: Annotated[
        list[str] | None, typer.Option("--pip", metavar="PKG", help="A requirement for every node; may be repeated.")
    ] = None,
    env: Annotated[
        list[str] | None,
        typer.Option("--env", metavar="NAME", help="A variable whose value goes along; may be repeated."),
    ] = None,
    code: Annotated[bool, typer.Option("--code", help="Send this installation's own packages too.")] = False,
    follow: Annotated[bool, typer.Option(help="Follow the job's log until it ends; Ctrl-C leaves it running.")] = True,
    report: Annotated[bool, typer.Option(help="Write the report when the job is done.")] = True,
    checked: Annotated[bool, typer.Option(help="Check the spec here first; its folders must be here for that.")] = True,
) -> None:
    """Send a job to a Ray cluster, where it runs as `triptych curate run` does, and follow its log.

    Nodes need Triptych installed (docker/ has images), or `--code`. Credentials are best known to the nodes
    themselves: what `--env` sends can be read by whoever may use the cluster's dashboard.

    Examples:

    `triptych curate submit jobs/demo.yaml --address http://HEAD:8265 --store s3://bucket/demo`

    `triptych curate submit jobs/demo.yaml --address http://HEAD:8265 --store s3://bucket/demo --no-follow
    --env AWS_ACCESS_KEY_ID --env AWS_SECRET_ACCESS_KEY`
    """
    if "://" not in store and not Path(store).is_absolute():
        raise fail(f"--store {store}: nodes elsewhere do not have this folder; give s3://bucket/prefix, or a full path")
    for name in env or ():
        if name not in os.environ:
            mend = "give names alone" if "=" in name else "set it, or leave --env out"
            raise fail(f"--env {name.partition('=')[0]}: no such variable here; {mend}")
    name = _checked_name(spec, overrides, checked=checked)
    from curation.parcel import pack_spec
    from manifests.yaml_file import YamlError

    flags = [*(["--limit", str(limit)] if limit else []), *([] if report else ["--no-report"])]
    console = Console(stderr=True, soft_wrap=True)
    with _told(), tempfile.TemporaryDirectory(prefix="triptych-submit-") as folder:
        there = _server(address)
        try:
            parcel = pack_spec(spec, overrides or [], Path(folder))
        except YamlError as error:
            raise fail(str(error)) from None
        for path in parcel.awaited:
            console.print(f"{path} is not sent: every node has to have it under this path", style="yellow")
        sent = there.submit(
            Path(folder), name=name, store=store, flags=flags, pip=pip or (), environment=env or (), code=code
        )
    typer.echo(sent)
    if follow:
        _follow(there, sent)
    else:
        console.print(_how_to_come_back(there, sent), highlight=False)


@jobs.command("list")
def list_jobs(address: Address, as_json: AsJson = False) -> None:
    """List the jobs that were sent to a cluster, newest first.

    Example: `triptych curate jobs list --address http://HEAD:8265`
    """
    from rich.table import Table

    with _told():
        found = list(_server(address).list())
    if as_json:
        typer.echo(json.dumps([_plain(job) for job in found], indent=1))
        return
    table = Table("job", "state", "started (UTC)", "minutes", "store", box=None, padding=(0, 2))
    for job in found:
        started = f"{job.started:%Y-%m-%d %H:%M}" if job.started else ""
        minutes = f"{job.seconds / 60:.1f}" if job.seconds is not None else ""
        table.add_row(job.id, job.status.lower(), started, minutes, job.store)
    console = Console()
    console.width = max(console.width, 128)
    console.print(table)


@jobs.command()
def status(job: JobId, address: Address, as_json: AsJson = False) -> None:
    """Say whether a job waits, runs, or how it ended; `triptych curate status` tells how far it is.

    Example: `triptych curate jobs status triptych-demo-1f0c9a3e --address http://HEAD:8265`
    """
    with _told():
        found = _server(address).get(job)
    if as_json:
        typer.echo(json.dumps(_plain(found), indent=1))
        return
    typer.echo(f"{found.id}: {found.status.lower()}{': ' + found.said if found.said else ''}")
    if found.store:
        typer.echo(f"how far it is: triptych curate status --store {found.store}")


@jobs.command()
def logs(
    job: JobId,
    address: Address,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until the job ends.")] = False,
) -> None:
    """Print what a job has said so far.

    Example: `triptych curate jobs logs triptych-demo-1f0c9a3e --address http://HEAD:8265 --follow`
    """
    with _told():
        there = _server(address)
        if follow:
            there.get(job)
            _follow(there, job)
        else:
            typer.echo(there.logs(job), nl=False)


@jobs.command()
def cancel(job: JobId, address: Address) -> None:
    """Stop a job. What it has committed stays, and the same spec and store go on from there.

    Example: `triptych curate jobs cancel triptych-demo-1f0c9a3e --address http://HEAD:8265`
    """
    with _told():
        ended = _server(address).cancel(job)
    if not ended.over:
        raise fail(f"{job} was asked to stop and has not yet; ask `triptych curate jobs status` again", code=_FAILED)
    typer.echo(f"{job}: {ended.status.lower()}; what was committed stays")


def _follow(there: Jobs, job: str) -> None:
    def show(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    try:
        ended = there.follow(job, show)
    except KeyboardInterrupt:
        Console(stderr=True, soft_wrap=True).print(
            f"\nThe job goes on.\n{_how_to_come_back(there, job)}", highlight=False
        )
        raise typer.Exit(_STOPPED) from None
    if ended.status == "FAILED":
        raise fail(
            f"{job} failed: {ended.said or 'see its log'}\nWhat was committed stays; send it again.", code=_FAILED
        )
    if ended.status == "STOPPED":
        raise fail(f"{job} was stopped; what was committed stays", code=_STOPPED)


def _how_to_come_back(there: Jobs, job: str) -> str:
    where = f"{job} --address {there.address}"
    return (
        f"to follow it: triptych curate jobs logs {where} --follow\nto stop it:   triptych curate jobs cancel {where}"
    )


def _checked_name(spec: Path, overrides: list[str] | None, *, checked: bool) -> str:
    """Return the name of a spec, checked as `run` would, or as far as it can be without the cluster's folders."""
    from curation.spec.load import load_spec
    from manifests.yaml_file import YamlError, read_mapping

    try:
        if checked:
            return load_spec(spec, overrides or []).name
        name = read_mapping(spec, overrides or [], example="image.size=256").get("name")
    except YamlError as error:
        missing = (
            "\nWhere only the cluster has what is missing here: --no-checked" if "does not exist" in str(error) else ""
        )
        raise fail(f"{error}{missing}") from None
    return name if isinstance(name, str) and name.replace("-", "").isalnum() else "job"


def _server(address: str) -> Jobs:
    from curation.submit import Jobs

    return Jobs(address)


@contextmanager
def _told() -> Iterator[None]:
    from curation.submit import JobsError

    try:
        yield
    except JobsError as error:
        raise fail(str(error)) from None


def _plain(job: Sent) -> dict[str, object]:
    return {**vars(job), "started": job.started.isoformat() if job.started else None}
