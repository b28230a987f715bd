"""Entry point of the `triptych` command; each group of commands is a module of its own."""

from __future__ import annotations

from typing import Annotated

import typer

from curation.cli import (
    audit,
    bank,
    bench,
    corpus,
    curate,
    encoders,
    experts,
    model,
    nano,
    runs,
    sample,
    serve,
    store,
    train,
)
from curation.logs import Form, Level, LogSettings

app = typer.Typer(
    name="triptych",
    help="Curate triplets (content reference, style reference, stylized target) and train USO from them.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

app.add_typer(corpus.app, name="corpus")
app.add_typer(curate.app, name="curate")
app.add_typer(store.app, name="store")
app.add_typer(encoders.app, name="encoders")
app.add_typer(bank.app, name="bank")
app.add_typer(experts.app, name="experts")
app.add_typer(model.app, name="model")
app.add_typer(nano.app, name="nano")
app.command("sample")(sample.sample)
app.command("train")(train.train)
app.add_typer(runs.app, name="runs")
app.add_typer(bench.app, name="bench")
app.add_typer(audit.app, name="audit")
app.add_typer(serve.app, name="serve")


@app.callback()
def settings(
    level: Annotated[
        Level, typer.Option("--log-level", envvar="TRIPTYCH_LOG_LEVEL", help="What is logged to standard error.")
    ] = "warning",
    form: Annotated[
        Form, typer.Option("--log-format", envvar="TRIPTYCH_LOG_FORMAT", help="Lines of text, or of JSON.")
    ] = "text",
) -> None:
    """Set up the logs of whichever command follows."""
    LogSettings(level, form).apply()
