"""Calibrating a store writes a policy, a plot and figures on held-out subjects; verdicts of a person serve as well."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from curation.policy.calibrate import CalibrationError
from curation.policy.rules import read_policy
from curation.report.calibration import calibrate_store
from curation.report.faults import fault_table
from manifests.arrow_schema import arrow_schema, to_table
from manifests.images import CALIBRATION_FOLD, HELDOUT_FOLD, fold_of, split_of
from manifests.records import EMBEDDED, JUDGED, Asset, Triplet
from manifests.store import Store
from tests.manifests.making import triplet_row


def rows(count: int = 4000) -> list[dict[str, Any]]:
    """Return scored candidates of which a third shows the subject in its style reference, and so leaks."""
    rng = np.random.default_rng(5)
    made = []
    for number in range(count):
        subject = f"subject {number}"
        bad = bool(rng.random() < 0.33)
        scores = {column: float(rng.normal()) for column in EMBEDDED}
        scores["style_leak"] = float(rng.normal(0.7 if bad else 0.1, 0.12))
        if number % 2:
            scores["text_alignment"] = float(rng.normal(0.2 if bad else 0.3, 0.05))
        judged = dict.fromkeys(JUDGED, 3) | {"judge_style_only": 1 if bad and number % 10 else 4}
        truth = "style_shows_subject" if bad else "good"
        made.append(triplet_row(f"{number}", subject=subject, split=split_of(subject), truth=truth, **scores, **judged))
    return made


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    made = Store(tmp_path_factory.mktemp("calibration"))
    made.commit(pa.Table.from_pylist(rows(), arrow_schema(Triplet)), to_table(Asset, []), [])
    return made


def test_the_policy_holds_on_subjects_it_was_not_fitted_on(store: Store, tmp_path: Path) -> None:
    outcome = calibrate_store(store, precision=0.95, out=tmp_path / "policy.yaml")
    folds = [fold_of(row["subject"]) for row in rows()]
    assert outcome.fitted_on.good + outcome.fitted_on.bad == folds.count(CALIBRATION_FOLD)
    assert outcome.heldout is not None
    assert outcome.heldout.good + outcome.heldout.bad == folds.count(HELDOUT_FOLD)
    assert outcome.heldout.precision > 0.93
    assert outcome.heldout.recall > 0.9
    assert outcome.aucs["style_leak"] > 0.97
    assert set(outcome.caught) == {"style_shows_subject"}
    assert 0.8 < outcome.aucs["text_alignment"] < 0.99
    assert set(outcome.cuts) == {name for name, area in outcome.aucs.items() if not np.isnan(area)}
    assert outcome.cuts["style_leak"].precision > 0.9
    assert outcome.cuts["style_leak"].threshold == pytest.approx(0.4, abs=0.1)
    assert "nsfw" not in outcome.aucs
    assert read_policy(outcome.path) == outcome.policy
    assert {"style_leak", "judge.style_only"} >= {rule.column for rule in outcome.policy.rules}
    assert 0.9 < outcome.aucs["judge.style_only"] < 1
    assert outcome.curves["style_leak"].average_precision > 0.97
    assert outcome.path.read_text().startswith("# Learnt by")
    assert outcome.plot.read_bytes().startswith(b"\x89PNG")
    page = outcome.page.read_text()
    assert page.count("recall against false alarms") == len(outcome.curves)
    assert "judge.style_only" in page
    pairs = {(each.first, each.second): each for each in outcome.agreement}
    assert set(pairs) == {("scores", "judge"), ("scores", "truth"), ("judge", "truth")}
    assert pairs["judge", "truth"].kappa > 0.8
    assert "judge, truth" in page
    assert json.loads(json.dumps(outcome.to_json()), parse_constant=_refuse)["agreement"]


def _refuse(constant: str) -> None:
    raise AssertionError(f"{constant} is no JSON")


def test_verdicts_of_a_person_serve_on_all_training_subjects(store: Store, tmp_path: Path) -> None:
    path = tmp_path / "verdicts.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["candidate_id", "verdict"])
        writer.writerows([row["candidate_id"], "bad" if row["style_leak"] > 0.4 else "good"] for row in rows())
    outcome = calibrate_store(store, precision=0.99, verdicts=[path], out=tmp_path / "policy.yaml")
    (rule,) = outcome.policy.rules
    assert rule.max == pytest.approx(0.4, abs=0.03)
    assert outcome.fitted_on.good + outcome.fitted_on.bad > 3000
    assert ("truth", "verdicts") in {(each.first, each.second) for each in outcome.agreement}


@pytest.mark.parametrize(
    ("content", "complaint"),
    [("id,verdict\na,good\n", "candidate_id is missing"), ("candidate_id,verdict\na,maybe\n", "line 2")],
)
def test_verdicts_that_cannot_be_used_are_named(store: Store, tmp_path: Path, content: str, complaint: str) -> None:
    path = tmp_path / "verdicts.csv"
    path.write_text(content)
    with pytest.raises(CalibrationError, match=complaint):
        calibrate_store(store, precision=0.9, verdicts=[path], out=tmp_path / "policy.yaml")


def test_a_store_without_known_truth_says_how_to_get_some(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    blank = pa.Table.from_pylist([triplet_row("a")], arrow_schema(Triplet))
    store.commit(blank, to_table(Asset, []), [])
    with pytest.raises(CalibrationError, match=r"faults\.share"):
        calibrate_store(store, precision=0.9, out=tmp_path / "policy.yaml")


def test_the_table_of_faults_names_the_hardest_and_counts_what_was_lost() -> None:
    def row(truth: str, accepted: bool, scored: bool = True) -> dict[str, Any]:
        return {"truth": truth, "accepted": accepted, "style_similarity": 0.5 if scored else None}

    table = fault_table(
        [
            *[row("good", True)] * 8,
            *[row("good", False)] * 2,
            *[row("wrong_style", False)] * 3,
            row("wrong_style", True),
            *[row("plain_copy", False)] * 4,
            row("plain_copy", False, scored=False),
        ]
    )
    assert table is not None
    assert table.hardest is not None
    assert (table.hardest.kind, table.hardest.share) == ("wrong_style", 0.75)
    assert (table.quality.recall, table.quality.precision) == (0.8, pytest.approx(8 / 9))
    assert fault_table([row("good", True, scored=False)]) is None
