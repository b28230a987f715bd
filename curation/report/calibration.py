"""Calibrating on a store: what was learnt, how good it is on held-out subjects, and pictures of every score."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.table import Table

from curation.policy.agreement import Agreement, agreements, opinions
from curation.policy.calibrate import (
    Bound,
    CalibrationError,
    Cut,
    Labelled,
    Quality,
    auc,
    best_cut,
    evaluate,
    learn_policy,
)
from curation.policy.curves import Curves, curves
from curation.policy.labels import COLUMNS, is_for_fitting, label, majority, read_annotators, scored, to_labelled
from curation.policy.rules import Policy
from curation.report.agreement import agreement_table
from curation.report.calibration_page import calibration_page
from curation.report.roc import plot_roc
from manifests.store import Store
from workers.experts.faults import GOOD

_ACROSS = 4

HEADS: tuple[str, ...] = (
    *("score", "AUC", "AP", "AUC, the fault it sees best"),
    *("alone: cut", "precision", "recall", "threshold"),
)

Pairs = list[tuple[dict[str, Any], bool]]


@dataclass(frozen=True)
class Outcome:
    """What calibration learnt."""

    policy: Policy
    path: Path
    plot: Path
    page: Path
    precision_asked: float
    fitted_on: Quality
    heldout: Quality | None
    aucs: Mapping[str, float]
    by_kind: Mapping[str, Mapping[str, float]]
    cuts: Mapping[str, Cut]
    caught: Mapping[str, tuple[int, int]]
    curves: Mapping[str, Curves]
    """Of each score alone, on the candidates that are reported on."""
    agreement: Sequence[Agreement]
    """On the same candidates, between the policy's decision on scores, judge, annotators and truth."""

    @property
    def roc(self) -> Path:
        """Return where the picture of all scores' ROC curves lies."""
        return self.plot.with_name(f"{self.plot.stem}-roc.png")

    def to_json(self) -> dict[str, Any]:
        """Return the outcome as plain values."""
        return {
            "policy": str(self.path),
            "plot": str(self.plot),
            "roc": str(self.roc),
            "page": str(self.page),
            "precision_asked": self.precision_asked,
            "rules": [rule.model_dump(exclude_none=True) for rule in self.policy.rules],
            "fitted_on": _quality_json(self.fitted_on),
            "heldout": _quality_json(self.heldout) if self.heldout else None,
            "auc": {name: None if math.isnan(value) else value for name, value in self.aucs.items()},
            "average_precision": {name: round(found.average_precision, 4) for name, found in self.curves.items()},
            "alone": {
                name: {key: round(value, 4) for key, value in vars(cut).items()} for name, cut in self.cuts.items()
            },
            "auc_by_kind": {name: dict(kinds) for name, kinds in self.by_kind.items()},
            "caught_on_heldout": {kind: {"caught": c, "total": t} for kind, (c, t) in self.caught.items()},
            "agreement": [each.to_json() for each in self.agreement],
        }

    def to_table(self) -> Table:
        """Return the scores with their skill and the thresholds that were learnt."""
        table = Table(*HEADS, box=None, padding=(0, 2))
        for name in self.aucs:
            table.add_row(*self.cells(name))
        return table

    def cells(self, name: str) -> tuple[str, ...]:
        """Return what stands under HEADS for one score."""
        column, _, layout = name.partition(", ")
        rules = [r for r in self.policy.rules if r.column == column and (r.when.layout if r.when else "") == layout]
        bounds = [f">= {r.min:g}" if r.min is not None else f"<= {r.max:g}" for r in rules]
        kind, seen = max(self.by_kind[name].items(), key=lambda item: item[1], default=("", math.nan))
        cut = self.cuts.get(name)
        alone = ("n/a", "", "") if cut is None else (f"{cut.threshold:g}", _figure(cut.precision), _figure(cut.recall))
        area = _figure(self.curves[name].average_precision) if name in self.curves else "n/a"
        skill = (_figure(self.aucs[name]), area, f"{_figure(seen)} {kind}")
        return name, *skill, *alone, ", ".join(bounds) or "not needed"

    def to_sentences(self) -> list[str]:
        """Return how good the policy is, in sentences."""
        lines = [_sentence("fitted on", self.fitted_on)]
        if self.heldout:
            lines.append(_sentence("held-out subjects", self.heldout))
            lines += [f"  {kind}: {caught:,} of {total:,} caught" for kind, (caught, total) in self.caught.items()]
        return lines

    def to_lines(self) -> list[str]:
        """Return what a person wants to know besides the table."""
        return [
            *self.to_sentences(),
            f"policy: {self.path}",
            f"page:   {self.page}",
            f"plots:  {self.plot}, {self.roc}",
        ]

    def to_agreement(self) -> Table | None:
        """Return who agrees with whom; None where no two have an opinion on the same candidates."""
        return agreement_table(self.agreement) if self.agreement else None


def calibrate_store(store: Store, *, precision: float, verdicts: Sequence[Path] = (), out: Path) -> Outcome:
    """Learn a policy from the candidates of a store, and return what came out.

    Written are the policy as YAML, and beside it a page with what was measured and a plot. Of several annotators the
    majority counts. Raises `CalibrationError` where too little is known.
    """
    annotators = read_annotators(verdicts)
    known = majority(list(annotators.values())) if annotators else None
    pairs = label(scored(store.triplets.read(COLUMNS)), known)
    if not pairs:
        raise CalibrationError(
            "no candidate of this store has a known truth: run a job with faults.share above 0, or give --verdicts"
        )
    fitting = [pair for pair in pairs if is_for_fitting(pair[0], by_verdict=known is not None)]
    heldout = [pair for pair in pairs if pair[0]["split"] == "heldout"]
    policy = learn_policy(to_labelled(fitting), precision=precision)
    on_fitting, _ = evaluate(policy, to_labelled(fitting))
    judged = heldout or fitting
    data = to_labelled(judged)
    bounds = {_name(bound): bound for bound in data.bounds()}
    cuts = {name: best_cut(*data.under(bound), bad=bound.bad) for name, bound in bounds.items()}
    along = {name: curves(*data.under(bound), bad=bound.bad) for name, bound in bounds.items()}
    on_heldout, kept = evaluate(policy, data)
    out.parent.mkdir(parents=True, exist_ok=True)
    outcome = Outcome(
        policy=policy,
        path=out,
        plot=out.with_suffix(".png"),
        page=out.with_suffix(".html"),
        precision_asked=precision,
        fitted_on=on_fitting,
        heldout=on_heldout if heldout else None,
        aucs={name: auc(*data.under(bound), bad=bound.bad) for name, bound in bounds.items()},
        by_kind=_aucs_by_kind(bounds, judged, data),
        cuts={name: cut for name, cut in cuts.items() if cut is not None},
        caught=_caught(judged, kept) if heldout else {},
        curves={name: found for name, found in along.items() if found is not None},
        agreement=agreements(opinions([row for row, _ in judged], policy, annotators)),
    )
    out.write_text(_header(outcome) + policy.to_yaml())
    _plot(data, policy, outcome.plot)
    plot_roc(outcome.curves, outcome.aucs, outcome.roc)
    outcome.page.write_text(calibration_page(outcome))
    return outcome


def _name(bound: Bound) -> str:
    return f"{bound.column}, {bound.layout}" if bound.layout else bound.column


def _aucs_by_kind(bounds: Mapping[str, Bound], pairs: Pairs, data: Labelled) -> dict[str, dict[str, float]]:
    """Return the AUC of each score between good candidates and those of each kind of fault alone."""
    kinds = np.array([None if good else _kind(row) for row, good in pairs])
    found: dict[str, dict[str, float]] = {}
    for name, bound in bounds.items():
        found[name] = {}
        for kind in sorted({kind for kind in kinds if kind is not None}):
            value = auc(*data.among(data.good | (kinds == kind)).under(bound), bad=bound.bad)
            if not math.isnan(value):
                found[name][kind] = value
    return found


def _kind(row: Mapping[str, Any]) -> str:
    return row["truth"] if row["truth"] not in (None, GOOD) else "bad"


def _figure(value: float) -> str:
    return "n/a" if math.isnan(value) else f"{value:.3f}"


def _caught(pairs: Pairs, kept: Sequence[bool] | np.ndarray) -> dict[str, tuple[int, int]]:
    caught: dict[str, tuple[int, int]] = {}
    for (row, good), keep in zip(pairs, kept, strict=True):
        if not good:
            done, total = caught.get(_kind(row), (0, 0))
            caught[_kind(row)] = (done + (not keep), total + 1)
    return dict(sorted(caught.items(), key=lambda item: item[1][0] / item[1][1]))


def _sentence(where: str, quality: Quality) -> str:
    return (
        f"{where}: {quality.good:,} good and {quality.bad:,} bad candidates; precision {quality.precision:.3f}, "
        f"recall {quality.recall:.3f}"
    )


def _quality_json(quality: Quality) -> dict[str, float | int]:
    return {**vars(quality), "precision": round(quality.precision, 4), "recall": round(quality.recall, 4)}


def _header(outcome: Outcome) -> str:
    lines = [f"Learnt by `triptych curate calibrate --precision {outcome.precision_asked:g}`."]
    lines.append(_sentence("Fitted on", outcome.fitted_on) + ".")
    if outcome.heldout:
        lines.append(_sentence("Held-out subjects", outcome.heldout) + ".")
    return "".join(f"# {line}\n" for line in lines)


def _plot(data: Labelled, policy: Policy, path: Path) -> None:
    """Plot, for each threshold that calibration tries, precision and recall along it, and its place in the policy."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    bounds = data.bounds()
    lines = -(-len(bounds) // _ACROSS)
    figure = Figure(figsize=(3 * _ACROSS, 3 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(lines, _ACROSS, squeeze=False).ravel()
    for axis, bound in zip(axes, bounds, strict=False):
        if len(data.under(bound)[0]):
            _plot_bound(axis, bound, data, policy)
    axes[0].legend(loc="lower left", fontsize=8)
    for axis in axes[len(bounds) :]:
        axis.set_visible(False)
    figure.savefig(path, dpi=90)


def _plot_bound(axis: Any, bound: Bound, data: Labelled, policy: Policy) -> None:
    values, good = data.under(bound)
    levels = np.quantile(values, np.linspace(0, 1, 80))
    keep = values[None, :] >= levels[:, None] if bound.bad == "low" else values[None, :] <= levels[:, None]
    kept_good, kept = (keep & good).sum(axis=1), keep.sum(axis=1)
    axis.plot(levels, kept_good / np.maximum(kept, 1), color="#2b59c3", label="precision of this rule alone")
    axis.plot(levels, kept_good / max(1, good.sum()), color="#2f8f6b", label="recall of this rule alone")
    for rule in policy.rules:
        layout = rule.when.layout if rule.when else None
        if rule.column == bound.column and layout == bound.layout:
            axis.axvline(rule.min if rule.min is not None else rule.max, color="#cf5b45", linestyle="--")
    area = auc(values, good, bad=bound.bad)
    axis.set_title(f"{_name(bound)}\nAUC {area:.3f}", fontsize=9)
    axis.set_ylim(0, 1.02)
    axis.grid(alpha=0.25)
