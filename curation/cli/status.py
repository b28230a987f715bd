"""`triptych curate status`: how far the jobs on a store are, from any machine that can read it."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console, Group, RenderableType
from rich.text import Text

from curation.cli.failure import fail
from curation.cli.stores import new_store

if TYPE_CHECKING:
    from curation.heartbeat import Beat
    from curation.status import Status

_SHOWN_REASONS = 8
_MB = 1e6


def status(
    store: Annotated[str, typer.Option("--store", metavar="DIR", help="Folder, or s3://bucket/prefix, of the store.")],
    watch: Annotated[bool, typer.Option("--watch", help="Look again and again, until Ctrl-C.")] = False,
    every: Annotated[float, typer.Option(min=0.5, metavar="SECONDS", help="How often to look.")] = 5.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON to stdout, and nothing else.")] = False,
) -> None:
    """Show what a store holds, which jobs are at work on it, how fast, and what waits where.

    It reads the committed tables and the jobs' signs of life, and asks no cluster.

    Examples:

    `triptych curate status --store s3://bucket/demo`

    `triptych curate status --store s3://bucket/demo --watch`
    """
    from curation.status import Watch

    looking = Watch(new_store(store))
    try:
        if as_json:
            typer.echo(json.dumps(looking.look().to_json(), indent=1))
        elif watch:
            _keep_looking(looking.look, every)
        else:
            Console().print(picture(looking.look()), highlight=False)
    except OSError as error:
        raise fail(str(error)) from None


def _keep_looking(look: Callable[[], Status], every: float) -> None:
    from rich.live import Live

    try:
        with Live(picture(look()), console=Console(), auto_refresh=False) as live:
            while True:
                time.sleep(every)
                live.update(picture(look()), refresh=True)
    except KeyboardInterrupt:
        return


def picture(found: Status) -> RenderableType:
    """Return a status as tables: the funnel of the store, then each job."""
    from rich.table import Table

    table = Table(box=None, padding=(0, 2), show_header=False)
    table.add_column(justify="right", style="bold")
    table.add_column()
    held = found.committed
    table.add_row(f"{held.candidates:,}", "candidates committed")
    table.add_row(
        f"{held.accepted:,}", f"accepted, in {held.shards:,} shards of {held.bytes / _MB:,.0f} MB", style="green"
    )
    for reason, count in held.reasons.most_common(_SHOWN_REASONS):
        table.add_row(f"{count:,}", reason, style="dim")
    parts: list[RenderableType] = [table]
    for beat in found.running:
        parts += ["", _running(beat), _stages(beat)] if beat.stages else ["", _running(beat)]
    for beat in found.silent:
        ago = (datetime.now(UTC) - beat.time).total_seconds()
        said = f"no sign of life from {beat.host} for {_long(ago)}; where it was killed, the same command goes on"
        parts += ["", Text(f"{beat.name} ({beat.job_id}): {said}", style="yellow")]
    if not found.running:
        parts += ["", "no job is at work"]
        if found.last:
            parts.append(f"{found.last['job_id']} {found.last['status']} at {found.last['finished'][:16]} UTC")
    return Group(*parts)


def _running(beat: Beat) -> Text:
    from curation.progress import PHASES

    ran = (beat.time - beat.started).total_seconds()
    done = beat.counts.get("committed_before", 0) + beat.counts.get("committed", 0)
    far = f", {done:,} of {beat.counts['candidates']:,} candidates" if beat.counts.get("candidates") else ""
    spilled = f", {beat.counts['spilled_mb']:,} MB spilled to disk" if beat.counts.get("spilled_mb") else ""
    doing = PHASES.get(beat.phase, beat.phase)
    said = f" ({beat.job_id}) on {beat.host}: {doing}{far}, {_long(ran)}{spilled}"
    return Text.assemble((beat.name, "bold"), said)


def _stages(beat: Beat) -> RenderableType:
    from rich.table import Table

    table = Table("stage", "rows/s", "rows", "waiting", "workers", "loading", box=None, padding=(0, 2))
    for name, stage in beat.stages.items():
        counts = (stage.rows, stage.waiting, stage.workers, stage.loading)
        table.add_row(name, f"{stage.per_second:,.1f}", *(f"{count:,}" for count in counts))
    return table


def _long(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
