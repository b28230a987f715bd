"""Writing what a run came to: rows, figures, table, report."""

from __future__ import annotations

import json
from pathlib import Path

from uso.bench.report import render_report
from uso.bench.results import RESULTS, ROWS, Results, write_rows
from uso.bench.summary import Summary, summarize
from uso.bench.table import markdown

TABLE = "table.md"
REPORT = "report.html"


def write_results(results: Results, out: Path) -> Summary:
    """Write everything into a folder, each file whole or not at all, and return the figures."""
    write_rows(results.rows, out / ROWS)
    summary = summarize(results)
    _write(out / RESULTS, json.dumps(results.told() | summary.told(), indent=1, ensure_ascii=False) + "\n")
    _write(out / TABLE, markdown(results, summary))
    _write(out / REPORT, render_report(results, summary, out))
    return summary


def _write(path: Path, text: str) -> None:
    draft = path.with_name(f".{path.name}")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)
