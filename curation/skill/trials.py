"""Trials of an expert: held-out targets, what the expert makes of them, and what others would have given."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from curation.gallery import Gallery
from curation.spec.model import JobSpec, TargetSpec
from curation.targets import choose_targets
from manifests.identities import candidate_id, seed_of
from manifests.images import HELDOUT_FOLD, ImageRef
from manifests.records import Layout
from workers.experts.base import Expert, ExpertImage, ExpertRequest, ExpertRole, Pixels

DRAWN, COPYING, RETRIEVAL, ORACLE = "expert", "copying", "retrieval", "oracle"
SYSTEMS = (DRAWN, RETRIEVAL, COPYING, ORACLE)
"""Who answers: the expert; retrieval; giving back the target; the true image of that subject in that style."""


@dataclass(frozen=True)
class Trial:
    """One request, what each system answered to it (None where it failed), and a picture of what is to be shown."""

    request: ExpertRequest
    answers: dict[str, Pixels | None]
    wanted: Pixels | None
    failure: str | None


def heldout_requests(spec: JobSpec, gallery: Gallery, role: ExpertRole, count: int) -> list[ExpertRequest]:
    """Return requests for up to `count` held-out targets of different subjects, in the spec's styles in turn.

    A de-stylization expert is asked for both layouts of each. Targets that cannot be read are passed over.
    """
    chosen = TargetSpec(per_subject=1, styles=spec.targets.styles, folds=(HELDOUT_FOLD,), seed=spec.seed)
    layouts: tuple[Layout, ...] = ("shifted",) if role == "stylize" else ("preserved", "shifted")
    requests: list[ExpertRequest] = []
    for ref in choose_targets(gallery, chosen):
        if len(requests) >= count * len(layouts):
            break
        try:
            pixels = gallery.load(ref).pixels
        except LookupError:
            continue
        for layout in layouts:
            identity = candidate_id(gallery.ref_id(ref), layout, 0, "skill")
            prompt = spec.prompt.format(subject=ref.spoken) if layout == "shifted" else ""
            requests.append(ExpertRequest(identity, pixels, ref, layout, prompt, seed_of(identity, role)))
    return requests


def run_trials(
    expert: Expert, retrieval: Expert, gallery: Gallery, requests: Sequence[ExpertRequest], *, batch: int
) -> list[Trial]:
    """Return a trial for each request, in their order; requests go to the experts in batches."""
    trials = []
    for start in range(0, len(requests), batch):
        part = requests[start : start + batch]
        for request, made, found in zip(part, expert.generate(part), retrieval.generate(part), strict=True):
            subject, truth = None, None
            if isinstance(made, ExpertImage):
                subject = made.ref.subject
                truth = _true_image(gallery, expert.role, made.ref)
            answers = {
                DRAWN: made.pixels if isinstance(made, ExpertImage) else None,
                RETRIEVAL: found.pixels if isinstance(found, ExpertImage) else None,
                COPYING: request.target,
                ORACLE: truth,
            }
            wanted = None if subject is None else _first(gallery, gallery.realistic(subject))
            failure = None if isinstance(made, ExpertImage) else made.reason
            trials.append(Trial(request, answers, wanted, failure))
    return trials


def _true_image(gallery: Gallery, role: ExpertRole, ref: ImageRef) -> Pixels | None:
    """Return the true image of what was drawn: its subject in its style, by the hand itself, or its photograph."""
    if role == "destylize":
        return _first(gallery, gallery.realistic(ref.subject))
    return _first(gallery, gallery.of_subject(ref.subject, ref.style))


def _first(gallery: Gallery, refs: Sequence[ImageRef]) -> Pixels | None:
    for ref in refs:
        try:
            return gallery.load(ref).pixels
        except LookupError:
            continue
    return None
