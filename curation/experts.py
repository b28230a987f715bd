"""The experts of a job: built from its spec, or named without being loaded."""

from __future__ import annotations

from curation.spec.experts import RetrievalSpec, UsoDestylizeSpec, UsoStylizeSpec
from curation.spec.model import JobSpec, StageSpec
from workers.experts.base import EXPERT_ROLES, Expert, ExpertRole, Gallery
from workers.experts.retrieval_destylizer import RetrievalDestylizer, destylizer_digest
from workers.experts.retrieval_stylizer import RetrievalStylizer, stylizer_digest

ExpertEntry = RetrievalSpec | UsoStylizeSpec | UsoDestylizeSpec


def build_expert(entry: ExpertEntry, role: ExpertRole, gallery: Gallery, *, device: str = "cpu") -> Expert:
    """Return an expert, its weights loaded onto a device. Raises ValueError on weights that do not go together."""
    if isinstance(entry, RetrievalSpec):
        if role == "stylize":
            return RetrievalStylizer(gallery)
        return RetrievalDestylizer(gallery, min_overlap=entry.min_overlap)
    from workers.experts.uso.destylizer import UsoDestylizer
    from workers.experts.uso.stylizer import UsoStylizer

    if isinstance(entry, UsoStylizeSpec):
        return UsoStylizer(entry.settings(), gallery, device=device)
    return UsoDestylizer(entry.settings(), device=device)


def expert_digests(spec: JobSpec, role: ExpertRole) -> list[str]:
    """Return the digest of each expert of a role, without loading any weights."""
    return [_digest(entry, role) for entry in spec.experts.of(role)]


def expert_titles(spec: JobSpec) -> dict[str, str]:
    """Return the titles of all experts of a job by digest, for reports."""
    titles = {}
    for role in EXPERT_ROLES:
        for entry, digest in zip(spec.experts.of(role), expert_digests(spec, role), strict=True):
            titles[digest] = "retrieval" if isinstance(entry, RetrievalSpec) else entry.title
    return titles


def device_of(stage: StageSpec) -> str:
    """Return the device of a stage's workers: a GPU where the stage asks for one and there is one."""
    import torch

    return "cuda" if stage.gpus > 0 and torch.cuda.is_available() else "cpu"


def _digest(entry: ExpertEntry, role: ExpertRole) -> str:
    if isinstance(entry, RetrievalSpec):
        return stylizer_digest() if role == "stylize" else destylizer_digest(entry.min_overlap)
    from workers.experts.uso.files import expert_digest

    return expert_digest(entry.settings(), role)
