"""Measuring every expert of a spec that draws: trials, figures, contact sheets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

from curation.context import gallery_of
from curation.experts import build_expert, device_of
from curation.skill.evaluate import Skill, evaluate
from curation.skill.sheet import skill_sheet
from curation.skill.trials import heldout_requests, run_trials
from curation.spec.experts import ExpertEntry, RetrievalSpec
from curation.spec.model import JobSpec
from workers.experts.base import EXPERT_ROLES, ExpertRole


class NothingDrawsError(ValueError):
    """The spec has nothing to measure: no expert that draws, or no held-out target."""


def measure_experts(spec: JobSpec, *, subjects: int, out: Path, sheet_rows: int) -> list[Skill]:
    """Measure the drawing experts of a spec on held-out subjects; write `skill.json` and a sheet each, and return them.

    Raises NothingDrawsError, or ValueError where an expert's files do not load.
    """
    from workers.encoders.load import NanoEncoder

    drawing = list(_drawing(spec))
    if not drawing:
        raise NothingDrawsError("experts: none of kind uso in this spec; retrieval has no skill to measure")
    gallery, encoder = gallery_of(spec), NanoEncoder(spec.encoder.weights)
    skills = []
    out.mkdir(parents=True, exist_ok=True)
    for number, (role, entry) in enumerate(drawing):
        requests = heldout_requests(spec, gallery, role, subjects)
        if not requests:
            raise NothingDrawsError("targets: the sources show no held-out subject in a style that can be a target")
        stage = getattr(spec.stages, role)
        expert = build_expert(entry, role, gallery, device=device_of(stage))
        retrieval = build_expert(RetrievalSpec(), role, gallery)
        trials = run_trials(expert, retrieval, gallery, requests, batch=stage.batch)
        skills.append(evaluate(expert, trials, encoder))
        name = re.sub(r"[^a-z0-9]+", "-", expert.title.lower()).strip("-")
        skill_sheet(trials, sheet_rows).save(out / f"{number}-{role}-{name}.png")
    (out / "skill.json").write_text(json.dumps([skill.to_json() for skill in skills], indent=1) + "\n")
    return skills


def _drawing(spec: JobSpec) -> Iterator[tuple[ExpertRole, ExpertEntry]]:
    for role in EXPERT_ROLES:
        for entry in spec.experts.of(role):
            if not isinstance(entry, RetrievalSpec):
                yield role, entry
