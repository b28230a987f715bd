"""Writing the report."""

from __future__ import annotations

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from curation.policy.rules import Policy
from curation.report.gather import Findings, gather
from curation.report.histogram import Series, histogram
from manifests.records import SCORES
from manifests.store import Store
from workers.experts.faults import GOOD

_MEANING = {
    "style_similarity": "style embeddings of target and style reference; high is good",
    "style_similarity_csls": "the same, corrected for hubs with a reference bank; high is good",
    "style_leak": "subject embeddings of target and style reference; low is good",
    "subject_consistency": "subject embeddings of target and content reference; high is good",
    "destylization": "1 - style similarity of target and content reference; high is good",
    "layout_distance": "how far the subject moved: small when preserved, large when shifted",
    "copy_paste": "equal bits of the perceptual hashes of target and content reference; low is good",
    "palette_leak": "style image's palette in the content reference, in Lab units; low is good",
    "photorealism": "how much more the content reference looks like a photograph than like a painting; high is good",
    "text_alignment": "text and image embeddings of prompt and target; high is good",
    "aesthetic": "what the aesthetic predictor makes of the target; high is good",
    "nsfw": "probability that the target is not safe for work; low is good",
    "watermark": "probability that the target has a watermark; low is good",
    "faces": "faces found in the target",
    "contamination": "similarity of the target to the nearest evaluation image; low is good",
}


def write_report(store: Store) -> str:
    """Write `<store>/report/index.html`, one file that opens without a server, and return where it lies."""
    findings = gather(store)
    environment = Environment(
        loader=PackageLoader("curation.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    page = environment.get_template("report.html.j2").render(f=findings, charts=_charts(findings))
    store.files.put("report/index.html", page.encode())
    return f"{store.files.root}/report/index.html"


def _charts(findings: Findings) -> list[dict[str, Any]]:
    charts = []
    for column in SCORES:
        layouts = ("preserved", "shifted") if _differs_by_layout(findings.policy, column) else (None,)
        for layout in layouts:
            rows = [row for row in findings.scores[column] if layout in (None, row["layout"])]
            if rows:
                charts.append(
                    {
                        "title": column if layout is None else f"{column}, {layout}",
                        "meaning": _MEANING[column],
                        "svg": histogram(_series(rows, column), _thresholds(findings.policy, column, layout)),
                    }
                )
    return charts


def _differs_by_layout(policy: Policy, column: str) -> bool:
    return column == "layout_distance" or any(rule.column == column and rule.when for rule in policy.rules)


def _thresholds(policy: Policy, column: str, layout: str | None) -> list[float]:
    return [
        bound
        for rule in policy.rules
        if rule.column == column and (rule.when is None or rule.when.layout == layout)
        for bound in (rule.min, rule.max)
        if bound is not None
    ]


def _series(rows: list[dict[str, Any]], column: str) -> list[Series]:
    """Return good and spoiled candidates where the truth is known, else accepted and rejected ones."""
    if any(row["truth"] for row in rows):
        known = [row for row in rows if row["truth"]]
        groups = [("good", "good", True), ("spoiled", "bad", False)]
        return [Series(n, css, [r[column] for r in known if (r["truth"] == GOOD) is side]) for n, css, side in groups]
    groups = [("accepted", "good", True), ("rejected", "bad", False)]
    return [Series(name, css, [r[column] for r in rows if r["accepted"] is side]) for name, css, side in groups]
