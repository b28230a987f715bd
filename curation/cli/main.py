"""Entry point of the `triptych` command; each group of commands is a module of its own."""

from __future__ import annotations

import typer

from curation.cli import audit, bank, bench, corpus, curate, encoders, experts, model, nano, runs, sample, store, train

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
