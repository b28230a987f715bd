"""The lineage of an image that an expert drew: what it is meant to show, from what, by whom, under which licence."""

from __future__ import annotations

from collections.abc import Sequence

from manifests.images import GENERATED, UNTREATED, ImageRef
from manifests.licences import join_licences
from workers.experts.base import ExpertRequest, ExpertRole, TransformValue

PHOTOREALISTIC = "photorealistic"
"""Family that a drawn content reference is meant to be of."""


def stylized_ref(request: ExpertRequest, subject: ImageRef, inputs: Sequence[ImageRef], expert: str) -> ImageRef:
    """Return the reference of a drawn style reference: the target's style is intended, of a new subject."""
    return _drawn_ref(request, "stylize", inputs, expert).model_copy(
        update={
            "subject": subject.subject,
            "caption": subject.caption,
            "family": request.target_ref.family,
            "treatment": request.target_ref.treatment,
        }
    )


def destylized_ref(request: ExpertRequest, expert: str) -> ImageRef:
    """Return the reference of a drawn content reference: the target's subject, meant to be a photograph."""
    return _drawn_ref(request, "destylize", [request.target_ref], expert)


def drawn_by(
    expert: str, title: str, *, prompt: str, seed: int, inputs: Sequence[ImageRef]
) -> dict[str, TransformValue]:
    """Return the transform of a drawn image: the expert's digest and title, its prompt and seed, and what it saw."""
    return {
        "kind": GENERATED,
        "expert": expert,
        "title": title,
        "prompt": prompt,
        "seed": str(seed),
        "inputs": [f"{ref.source}:{ref.locator} {ref.style}" for ref in inputs],
    }


def _drawn_ref(request: ExpertRequest, role: ExpertRole, inputs: Sequence[ImageRef], expert: str) -> ImageRef:
    """Return a reference with the inputs' licences, authors and packages: a drawing derives from all of them."""
    return ImageRef(
        source=GENERATED,
        locator=f"{request.candidate_id}/{role}",
        fingerprint=expert,
        subject=request.target_ref.subject,
        family=PHOTOREALISTIC,
        treatment=UNTREATED,
        caption=request.target_ref.caption,
        licence=join_licences([ref.licence for ref in inputs]),
        author=_listed([ref.author for ref in inputs], "; "),
        attribution_url=_listed([ref.attribution_url for ref in inputs], " "),
        package=_listed([ref.package for ref in inputs], "; "),
    )


def _listed(values: Sequence[str | None], separator: str) -> str | None:
    return separator.join(dict.fromkeys(value for value in values if value)) or None
