"""The skill of an expert: better than copying where it is, and the truth at the top."""

from __future__ import annotations

import numpy as np
import pytest

from curation.skill.columns import SKILL_COLUMNS
from curation.skill.evaluate import evaluate
from curation.skill.sheet import skill_sheet
from curation.skill.trials import Trial, run_trials
from manifests.images import split_of
from tests.workers.experts.shapes import SUBJECTS, Shapes
from workers.encoders.load import NanoEncoder
from workers.experts.base import ExpertFailure, ExpertImage, ExpertRequest
from workers.experts.retrieval_destylizer import RetrievalDestylizer
from workers.experts.retrieval_stylizer import RetrievalStylizer


class Clumsy(RetrievalDestylizer):
    """Shows the right photograph three times out of four, noise blown over it, and else fails."""

    title = "clumsy"

    def generate(self, requests: list[ExpertRequest]) -> list[ExpertImage | ExpertFailure]:  # type: ignore[override]
        rng = np.random.default_rng(0)
        answers: list[ExpertImage | ExpertFailure] = []
        for place, made in enumerate(super().generate(requests)):
            if place % 4 == 3 or isinstance(made, ExpertFailure):
                answers.append(ExpertFailure("dropped", "on purpose"))
                continue
            noisy = np.clip(made.pixels + rng.normal(0, 60, made.pixels.shape), 0, 255).astype(np.uint8)
            answers.append(ExpertImage(noisy, made.ref, made.transform))
        return answers


@pytest.fixture(scope="module")
def trials() -> list[Trial]:
    gallery = Shapes()
    refs = gallery.styled("ink", "train")[:12]
    requests = [
        ExpertRequest(f"c{n}", gallery.load(ref).pixels, ref, "shifted" if n % 2 else "preserved", "", n)
        for n, ref in enumerate(refs)
    ]
    return run_trials(Clumsy(gallery), RetrievalDestylizer(gallery), gallery, requests, batch=4)  # type: ignore[arg-type]


def test_the_truth_stands_above_a_clumsy_expert_and_failures_are_counted(trials: list[Trial]) -> None:
    skill = evaluate(Clumsy(Shapes()), trials, NanoEncoder(), resamples=200)
    assert (skill.title, skill.trials, skill.failures) == ("clumsy", 12, {"dropped": 3})
    shows = {system: figures["shows_subject"] for system, figures in skill.figures.items()}
    assert all(shows.values())
    assert shows["expert"] is not None
    assert shows["oracle"] is not None
    assert shows["oracle"].mean == pytest.approx(1, abs=1e-5)
    assert shows["expert"].mean < shows["oracle"].mean
    assert shows["expert"].samples == 9
    copied = skill.figures["copying"]["copy_paste"]
    assert copied is not None
    assert copied.mean == 1
    difference = skill.differences["oracle"]["shows_subject"]
    assert difference is not None
    assert difference.high is not None
    assert difference.high < 0
    kept = skill.figures["copying"]["layout_kept"]
    assert kept is not None
    assert kept.samples == 6


def test_the_sheet_shows_every_answer(trials: list[Trial]) -> None:
    assert skill_sheet(trials, 3).height < skill_sheet(trials, 5).height


def test_columns_of_both_roles_are_distinct_and_finite() -> None:
    gallery = Shapes()
    heldout = next(name for name in SUBJECTS if split_of(name) == "heldout")
    (ref,) = gallery.of_subject(heldout, "oil")
    request = ExpertRequest("c", gallery.load(ref).pixels, ref, "shifted", "", 3)
    stylizer = RetrievalStylizer(gallery)
    made = run_trials(stylizer, stylizer, gallery, [request], batch=1)  # type: ignore[arg-type]
    skill = evaluate(stylizer, made, NanoEncoder(), resamples=50)
    for columns in SKILL_COLUMNS.values():
        assert len({column.key for column in columns}) == len(columns)
    assert all(interval is not None for interval in skill.figures["expert"].values())
