"""Candidates with known truth: the atelier's own, or an annotator's verdicts from a CSV."""

from __future__ import annotations

import csv
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from curation.policy.agreement import OTHERS
from curation.policy.calibrate import CalibrationError, Labelled
from curation.policy.rules import RULED, ruled_value
from manifests.images import CALIBRATION_FOLD, fold_of
from manifests.records import EMBEDDED, JUDGED, SCORES
from workers.experts.faults import GOOD

_VERDICTS = {
    "good": True,
    "accept": True,
    "1": True,
    "true": True,
    "bad": False,
    "reject": False,
    "0": False,
    "false": False,
}

COLUMNS = ("candidate_id", "layout", "split", "subject", "truth", "accepted", *SCORES, *JUDGED, "judge_layout")
"""What calibration reads of `triplets`."""


def read_verdicts(path: Path) -> dict[str, bool]:
    """Read an annotator's CSV with the columns `candidate_id` and `verdict` (good or bad).

    Raises CalibrationError naming the line and column that cannot be used.
    """
    if not path.is_file():
        raise CalibrationError(f"{path} does not exist; it is to have the columns candidate_id and verdict")
    verdicts: dict[str, bool] = {}
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        for column in ("candidate_id", "verdict"):
            if column not in (reader.fieldnames or []):
                raise CalibrationError(f"{path}: column {column} is missing; there are {reader.fieldnames}")
        for line, row in enumerate(reader, start=2):
            verdict = (row["verdict"] or "").strip().lower()
            if verdict not in _VERDICTS:
                raise CalibrationError(f"{path}, line {line}: verdict {row['verdict']!r} is neither good nor bad")
            verdicts[row["candidate_id"]] = _VERDICTS[verdict]
    return verdicts


def read_annotators(paths: Sequence[Path]) -> dict[str, dict[str, bool]]:
    """Read the verdicts of several annotators, by the names of their files; in full where two files are named alike.

    Raises CalibrationError naming the line and column that cannot be used.
    """
    names = Counter([*(path.stem for path in paths), *OTHERS])
    return {str(path) if names[path.stem] > 1 else path.stem: read_verdicts(path) for path in paths}


def majority(annotators: Sequence[Mapping[str, bool]]) -> dict[str, bool]:
    """Return what most annotators say of each candidate; those on which as many say one as the other are left out."""
    leaning: Counter[str] = Counter()
    for verdicts in annotators:
        for candidate, good in verdicts.items():
            leaning[candidate] += 1 if good else -1
    return {candidate: votes > 0 for candidate, votes in leaning.items() if votes}


def scored(table: pa.Table) -> list[dict[str, Any]]:
    """Return the candidates that have every score that all jobs measure, as rows."""
    return [row for row in table.to_pylist() if all(row[column] is not None for column in EMBEDDED)]


def label(rows: list[dict[str, Any]], verdicts: Mapping[str, bool] | None) -> list[tuple[dict[str, Any], bool]]:
    """Return the rows whose truth is known, with it: by verdict where there are any, else by construction."""
    if verdicts is not None:
        return [(row, verdicts[row["candidate_id"]]) for row in rows if row["candidate_id"] in verdicts]
    return [(row, row["truth"] == GOOD) for row in rows if row["truth"] is not None]


def to_labelled(pairs: list[tuple[dict[str, Any], bool]]) -> Labelled:
    """Return labelled rows as columns: what was measured or judged of some row, not a number where one lacks it."""
    columns = {column: np.array([ruled_value(column, row) for row, _ in pairs], dtype=np.float64) for column in RULED}
    return Labelled(
        scores={column: values for column, values in columns.items() if not np.isnan(values).all()},
        layout=[row["layout"] for row, _ in pairs],
        good=np.array([good for _, good in pairs], dtype=bool),
    )


def is_for_fitting(row: Mapping[str, Any], *, by_verdict: bool) -> bool:
    """Tell whether thresholds may be fitted on a candidate.

    Never on held-out subjects. Truth by construction comes with encoders fitted on the other training subjects, whose
    scores are flattered, so only the calibration fold serves; an annotator's verdicts serve on all of the rest.
    """
    if row["split"] == "heldout":
        return False
    return by_verdict or fold_of(row["subject"]) == CALIBRATION_FOLD
