"""The page of a calibration: skill and curves of every score, who agrees with whom, and the policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from curation.report import agreement
from curation.report.curve import curve

if TYPE_CHECKING:
    from curation.report.calibration import Outcome


def calibration_page(outcome: Outcome) -> str:
    """Return the page, one HTML file that opens without a server."""
    from curation.report.calibration import HEADS

    environment = Environment(
        loader=PackageLoader("curation.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    return environment.get_template("calibration.html.j2").render(
        precision=outcome.precision_asked,
        lines=outcome.to_sentences(),
        heads=HEADS,
        scores=[outcome.cells(name) for name in outcome.aucs],
        charts=_charts(outcome),
        pairs=[agreement.agreement_cells(each) for each in outcome.agreement],
        pair_heads=agreement.HEADS,
        policy=outcome.policy.to_yaml(),
    )


def _charts(outcome: Outcome) -> list[dict[str, Any]]:
    """Return ROC and precision over recall for each score that has both good and bad candidates."""
    charts = []
    for name, found in outcome.curves.items():
        recall = [0.0, *found.recall]
        charts.append(
            {
                "title": name,
                "roc": curve([0.0, *found.false_alarms], recall, across="false alarms", up="recall", chance=True),
                "kept": curve(found.recall.tolist(), found.precision.tolist(), across="recall", up="precision"),
            }
        )
    return charts
