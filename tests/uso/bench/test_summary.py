"""Figures, tables and the report, on rows of known content."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from uso.bench.report import render_report
from uso.bench.results import ROWS, Results, Row, write_rows
from uso.bench.summary import Summary, summarize
from uso.bench.table import best, markdown
from uso.bench.write import write_results
from uso.tasks import Task

SCORES = {
    "uso": {"csd": 0.7, "dino": 0.8, "clip_t": 0.3, "style_leak": 0.1},
    "base": {"csd": 0.4, "dino": 0.5, "clip_t": 0.3, "style_leak": 0.2},
    "copy-content": {"csd": 0.1, "dino": 1.0, "style_leak": 0.1},
    "copy-style": {"csd": 1.0, "dino": 0.2, "style_leak": 1.0},
}


def system(name: str) -> dict[str, object]:
    baseline = name if name.startswith("copy") else None
    return {"name": name, "digest": name * 8, "baseline": baseline, "is_base": name == "base", "checkpoint": None}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Results:
    folder = tmp_path_factory.mktemp("set")
    for number in range(6):
        Image.new("RGB", (32, 32), (40 * number, 90, 120)).save(folder / f"{number}.png")
    rng = np.random.default_rng(0)
    rows = []
    for name, scores in SCORES.items():
        for number in range(36):
            subject, style = divmod(number, 6)
            noise = float(rng.normal(0, 0.01))
            rows.append(
                Row(
                    system=name,
                    number=number,
                    sample=f"id{number}",
                    task=Task.LAYOUT_PRESERVED if number % 2 else Task.LAYOUT_SHIFTED,
                    subject=f"<b>cat {subject}",
                    style=f"ink {style}",
                    prompt="" if number % 2 else "a cat",
                    seed=number,
                    content=f"{subject}.png",
                    style_image=f"{style}.png",
                    truth=None,
                    picture=f"{style}.png",
                    scores={key: value + noise for key, value in scores.items()},
                )
            )
    return Results(
        set_name="<i>known",
        set_folder=str(folder),
        set_digest="d" * 32,
        settings={"side": 64, "steps": 4, "limit": None},
        suite={"copy_share": 0.95},
        encoders={"dino": {"title": "DINO (x)", "sha256": "a" * 64}},
        systems=tuple(system(name) for name in SCORES),
        rows=tuple(rows),
    )


@pytest.fixture(scope="module")
def summary(results: Results) -> Summary:
    return summarize(results)


def test_claims_hold_where_intervals_do_not_overlap(summary: Summary) -> None:
    claims = {(claim.other, claim.column): claim.holds for claim in summary.claims}
    assert claims == {
        ("base", "csd"): True,
        ("base", "dino"): True,
        ("copy-content", "csd"): True,
        ("copy-style", "dino"): True,
    }
    assert {claim.system for claim in summary.claims} == {"uso"}


def test_a_claim_of_equals_does_not_hold(results: Results) -> None:
    same = [replace(row, scores=SCORES["base"]) if row.system == "uso" else row for row in results.rows]
    again = summarize(replace(results, rows=tuple(same)))
    assert not any(claim.holds for claim in again.claims if claim.other == "base")


def test_the_best_is_the_best_checkpoint_and_not_a_copy(results: Results, summary: Summary) -> None:
    assert best(results, summary, "joint", "csd") == "uso"
    assert best(results, summary, "preserved", "style_leak") == "uso"


def test_the_table_has_the_papers_form(results: Results, summary: Summary) -> None:
    text = markdown(results, summary)
    head = next(line for line in text.splitlines() if line.startswith("| system"))
    assert [cell.split(": ")[-1] for cell in head.strip("| ").split(" | ")[1:]] == ["DINO ↑", "CSD ↑", "CLIP-T ↑"]
    assert re.search(r"\| uso \| \*\*0\.\d{3} \[0\.\d{3}, 0\.\d{3}\]\*\*", text)
    assert re.search(r"\| copy-content \|.*\| - \|", text)
    assert "Not measured, for want of the encoder or of what it needs: CLIP-I" in text


def test_the_page_stands_alone_and_escapes_names(results: Results, summary: Summary) -> None:
    page = render_report(results, summary, Path(results.set_folder))
    assert "<b>cat 0" not in page
    assert "<i>known" not in page
    assert not re.search(r'(src|href)="(?!data:|#)', page)
    assert page.count("<svg") >= 4
    assert page.count("data:image/webp") > 20


def test_rows_and_figures_are_the_same_every_time(results: Results, tmp_path: Path) -> None:
    write_rows(results.rows, tmp_path / ROWS)
    first = (tmp_path / ROWS).read_bytes()
    write_results(results, tmp_path)
    told = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert told[ROWS] == first
    write_results(results, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == told
