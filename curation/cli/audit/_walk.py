"""What `lineage` and `descendants` share: naming the start, walking, and showing the graph."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from curation.cli.audit._options import FOUND, ledger_of, write_file
from curation.cli.audit._output import echo_json
from curation.cli.failure import fail

if TYPE_CHECKING:
    from manifests.audit.graph import Graph
    from manifests.audit.training_runs import TrainingRun

Start = Annotated[
    str,
    typer.Argument(
        metavar="ID",
        help="Candidate or image (id or first digits), or package:NAME, file:SOURCE:LOCATOR, shard:NAME, "
        "commit:VERSION, run:FOLDER, checkpoint:FOLDER.",
    ),
]
Dot = Annotated[Path | None, typer.Option("--dot", metavar="FILE", help="Write the graph for Graphviz.")]
Svg = Annotated[Path | None, typer.Option("--svg", metavar="FILE", help="Write a drawing of the graph.")]
Limit = Annotated[int, typer.Option("--limit", min=1, metavar="N", help="Stop after so many things.")]


def walk_and_show(
    way: Literal["lineage", "descendants"],
    one: str,
    store: str,
    version: int | None,
    runs: list[Path],
    dot: Path | None,
    svg: Path | None,
    limit: int,
    as_json: bool,
) -> None:
    """Walk from every node of the name, and print or write what was reached."""
    with ledger_of(store, version) as ledger:
        from manifests.audit.graph_drawing import dot_of, svg_of, tree_of
        from manifests.audit.lineage import descendants, find_nodes, lineage

        walk = lineage if way == "lineage" else descendants
        trained = _runs(runs)
        times = times_used if trained else None
        graphs = [
            walk(ledger, node, runs=trained, times=times, limit=limit)
            for node in find_nodes(ledger, _absolute(one, runs))
        ]
        for path, drawn in ((dot, dot_of), (svg, svg_of)):
            if path is not None:
                for number, graph in enumerate(graphs):
                    write_file(path if number == 0 else path.with_stem(f"{path.stem}-{number + 1}"), drawn(graph))
        if as_json:
            echo_json([plain(graph) for graph in graphs])
        else:
            for graph in graphs:
                typer.echo(tree_of(graph, forwards=way == "descendants"))
                for note in graph.notes:
                    typer.echo(f"Note: {note}.")
    if any(graph.notes for graph in graphs):
        raise typer.Exit(FOUND)


def times_used(run: Path, candidates: Collection[str]) -> dict[str, list[tuple[Path, int]]]:
    """Return how often the checkpoints of a run were trained on candidates."""
    from uso.training.consumed import uses

    return {one: [(use.checkpoint, use.times) for use in made] for one, made in uses(run, candidates).items()}


def plain(graph: Graph) -> dict[str, Any]:
    """Return a graph as values for JSON."""
    return {
        "start": str(graph.start),
        "complete": graph.complete,
        "notes": list(graph.notes),
        "nodes": [{"id": str(node), "kind": node.kind, "label": graph.label(node)} for node in graph.nodes],
        "edges": [
            {"source": str(edge.source), "target": str(edge.target), "label": edge.label, "certain": edge.certain}
            for edge in graph.edges
        ],
    }


def _runs(folders: list[Path]) -> list[TrainingRun]:
    from manifests.audit.training_runs import find_runs

    try:
        return find_runs(folders)
    except ValueError as error:
        raise fail(str(error)) from None


def _absolute(one: str, runs: list[Path]) -> str:
    """Return the name of a start; a run may be given as its name alone, below one of the folders of `--runs`."""
    kind, _, key = one.partition(":")
    if kind in ("run", "checkpoint"):
        inside = [folder / key for folder in runs if (folder / key).is_dir()]
        return f"{kind}:{inside[0]}" if inside and not Path(key).is_dir() else one.rstrip("/")
    return one
