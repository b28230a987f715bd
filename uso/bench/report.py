"""The report of a run: one page that opens without a server, with every picture inside."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from uso.bench.bars import Bar, bars
from uso.bench.bootstrap import Interval
from uso.bench.columns import COLUMN, TASK_TITLES, Role, TaskKey, good_in
from uso.bench.grids import products, task_grids, thumbnail
from uso.bench.plane import Point, plane
from uso.bench.results import Results
from uso.bench.summary import LEVEL, Summary
from uso.bench.table import Head, best, missed_columns, paper_columns

_COLOURS = 6
_GOOD = {"high": "high is good", "low": "low is good", None: "neither is good as such"}


@dataclass(frozen=True)
class Chart:
    """Bars of one column in one task."""

    title: str
    good: str
    meaning: str
    svg: Markup


@dataclass(frozen=True)
class Line:
    """One line of the table by style or by subject: name, image, and a figure for each system and column."""

    name: str
    image: str
    cells: Sequence[Sequence[float | None]]


def render_report(results: Results, summary: Summary, out: Path) -> str:
    """Return the page as HTML. Images of the set that are not there any more leave an empty place."""
    environment = Environment(
        loader=PackageLoader("uso.bench", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    colours = colours_of(results)
    columns = _grouped_columns(summary)
    return environment.get_template("report.html.j2").render(
        r=results,
        s=summary,
        level=f"{LEVEL:.0%}",
        colours=colours,
        tiles=_tiles(results),
        plane=_plane(summary, colours),
        heads=[
            ("As the paper measures", paper_columns(summary)),
            *((f"What its reviewers missed: {TASK_TITLES[heads[0][0]]}", heads) for heads in missed_columns(summary)),
        ],
        cell=lambda name, head: summary.figure(name, *head),
        best=lambda head: best(results, summary, *head),
        title=lambda key: COLUMN[key].title,
        task_title=lambda task: TASK_TITLES[task],
        good=lambda head: good_in(COLUMN[head[1]], head[0]),
        spans=_spans,
        charts=[
            (TASK_TITLES[task], found) for task in TASK_TITLES if (found := _charts(results, summary, task, colours))
        ],
        grids=task_grids(results, out),
        products=products(results, out),
        columns=columns,
        by_style=_lines(results, summary.by_style, columns, "style", "style_image"),
        by_subject=_lines(results, summary.by_subject, columns, "subject", "content"),
    )


def colours_of(results: Results) -> dict[str, str]:
    """Return a CSS class for each system: colours for checkpoints, grey for baselines."""
    colours, used = {}, 0
    for system in results.systems:
        if system["baseline"] is None:
            colours[str(system["name"])] = f"c{used % _COLOURS}"
            used += 1
        else:
            colours[str(system["name"])] = "plain"
    return colours


def _tiles(results: Results) -> list[tuple[str, str]]:
    first = [row for row in results.rows if row.system == results.systems[0]["name"]]
    counts = {
        "samples a system": len(first),
        "systems": len(results.systems),
        "subjects": len({row.subject for row in first}),
        "styles": len({row.style for row in first if row.style is not None}),
        "pictures": sum(row.picture is not None for row in results.rows),
    }
    return [(f"{count:,}", label) for label, count in counts.items()]


def _plane(summary: Summary, colours: Mapping[str, str]) -> Markup | None:
    """Return the plane of the first subject and style columns of the joint task, None where one was not measured."""
    subjects, styles = summary.columns("joint", ("subject",)), summary.columns("joint", ("style",))
    if not subjects or not styles:
        return None
    points = [
        Point(name, css, subject, style)
        for name, css in colours.items()
        if (subject := summary.figure(name, "joint", subjects[0])) is not None
        and (style := summary.figure(name, "joint", styles[0])) is not None
    ]
    axes = (f"subject kept: {COLUMN[subjects[0]].title}", f"style met: {COLUMN[styles[0]].title}")
    return plane(points, *axes) if points else None


def _charts(results: Results, summary: Summary, task: TaskKey, colours: Mapping[str, str]) -> list[Chart]:
    roles: Sequence[Role] = ("subject", "style", "text") if task == "joint" else ("subject", "style", "text", "extra")
    found = []
    for key in summary.columns(task, roles):
        column = COLUMN[key]
        rows = [
            Bar(str(system["name"]), colours[str(system["name"])], _figure(summary, system, task, key))
            for system in results.systems
        ]
        found.append(Chart(column.title, _GOOD[good_in(column, task)], column.meaning, bars(rows)))
    return found


def _figure(summary: Summary, system: Mapping[str, Any], task: TaskKey, key: str) -> Interval | None:
    return summary.figure(str(system["name"]), task, key)


def _grouped_columns(summary: Summary) -> list[str]:
    """Return the columns of the tables by style and subject: those of style and subject, and the leaks."""
    there = {key for task in summary.grouped_over for key in summary.columns(task)}
    return [key for key, column in COLUMN.items() if key in there and column.role in ("subject", "style")]


def _lines(
    results: Results,
    groups: Mapping[str, Mapping[str, Mapping[str, float]]],
    columns: Sequence[str],
    key: str,
    image: str,
) -> list[Line]:
    """Return the lines of a table, the hardest first: by the sum of the first checkpoint's figures."""
    names = [str(system["name"]) for system in results.systems]
    judged = next((str(s["name"]) for s in results.systems if s["baseline"] is None), names[0])
    images: dict[str, str] = {}
    for row in results.rows:
        path = getattr(row, image)
        if path is not None:
            images.setdefault(str(getattr(row, key)), path)
    folder = Path(results.set_folder)
    order = sorted(groups, key=lambda name: sum(groups[name].get(judged, {}).get(column, 0.0) for column in columns))
    return [
        Line(
            name,
            thumbnail(folder / images[name]) if name in images else "",
            [[groups[name].get(system, {}).get(column) for column in columns] for system in names],
        )
        for name in order
    ]


def _spans(heads: Sequence[Head]) -> list[tuple[str, int]]:
    """Return the tasks of a table's head, and over how many columns each goes."""
    spans: list[tuple[str, int]] = []
    for task, _ in heads:
        if spans and spans[-1][0] == TASK_TITLES[task]:
            spans[-1] = (spans[-1][0], spans[-1][1] + 1)
        else:
            spans.append((TASK_TITLES[task], 1))
    return spans
