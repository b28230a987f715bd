"""Verification as commands show it: `triptych audit verify`, and `triptych store verify`, which is the same."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from curation.cli.failure import fail
from curation.cli.stores import existing_store

_FOUND = 1
_SHOWN = 200

StorePath = Annotated[str, typer.Option("--store", metavar="DIR", help="Folder, or s3://bucket/prefix, of the store.")]
Workers = Annotated[int, typer.Option("--workers", min=1, metavar="N", help="Shards and data files read at once.")]
Sampled = Annotated[
    float, typer.Option("--sample", min=0.0001, max=1.0, metavar="SHARE", help="Read so large a share of the shards.")
]
Seed = Annotated[int, typer.Option("--seed", metavar="N", help="Draws the shards of --sample.")]
State = Annotated[
    Path | None,
    typer.Option("--state", metavar="FILE", help="Keeps what was done: the same command goes on after an end."),
]
Signature = Annotated[
    Path | None, typer.Option("--signature", metavar="FILE", help="What `triptych audit sign` wrote; with --key.")
]
Key = Annotated[Path | None, typer.Option("--key", metavar="FILE", help="Public key of the signature, PEM.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON to stdout, and nothing else.")]


def verify(
    store: StorePath,
    workers: Workers = 8,
    sample: Sampled = 1.0,
    seed: Seed = 0,
    state: State = None,
    signature: Signature = None,
    key: Key = None,
    as_json: AsJson = False,
) -> None:
    """Check every byte of every shard and table against the manifest, and every chain of commits.

    Exit code 1 where something is not as it was committed: each finding has a kind, a place and a sentence.

    Example: `triptych audit verify --store runs/demo --signature demo.sig --key auditor.pem.pub`
    """
    from rich.progress import Progress

    from manifests.signing import SignatureError
    from manifests.verify import verify as check

    if (signature is None) != (key is None):
        raise fail("--signature and --key go together: a signature is checked with the public key of who signed")
    signed = None
    if signature is not None and key is not None:
        try:
            signed = (json.loads(signature.read_text()), key)
        except (OSError, ValueError) as error:
            raise fail(f"{signature}: cannot be read as a signature: {error}") from None
    existing = existing_store(store)
    try:
        with Progress(console=Console(stderr=True), transient=True) as bars:
            task = bars.add_task("shards", total=None)
            verdict = check(
                existing,
                progress=lambda done, total: bars.update(task, completed=done, total=total),
                workers=workers,
                sample=sample,
                seed=seed,
                state=state,
                signature=signed,
            )
    except SignatureError as error:
        raise fail(str(error)) from None
    except OSError as error:
        raise fail(str(error), code=_FOUND) from None
    if as_json:
        typer.echo(json.dumps(asdict(verdict) | {"sound": verdict.sound, "faults": verdict.faults}, indent=1))
    else:
        for finding in verdict.findings[:_SHOWN]:
            typer.echo(f"{finding.kind:<20} {finding.place}: {finding.text}")
        if len(verdict.findings) > _SHOWN:
            typer.echo(f"and {len(verdict.findings) - _SHOWN:,} more; --json has all")
        for note in verdict.notes:
            typer.echo(f"Note: {note}.")
        read = "" if verdict.checked == verdict.shards else f" ({verdict.checked:,} of them read)"
        typer.echo(
            f"{verdict.shards:,} shards{read}, {verdict.samples:,} samples, {verdict.candidates:,} candidates: "
            + ("sound" if verdict.sound else f"{len(verdict.findings):,} faults")
        )
    if not verdict.sound:
        raise typer.Exit(_FOUND)
