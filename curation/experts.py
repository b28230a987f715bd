"""The experts of a job: built from its spec, or named without being loaded."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any

from curation.spec.captions import OpenAICaptions
from curation.spec.editing_experts import DiffusersSpec, HttpSpec
from curation.spec.experts import ExpertEntry, RetrievalSpec, UsoStylizeSpec
from curation.spec.model import JobSpec
from curation.spec.stages import StageSpec
from workers.endpoints.bought import Bought
from workers.endpoints.client import Client
from workers.endpoints.settings import EndpointSettings
from workers.experts.base import EXPERT_ROLES, Expert, ExpertRole, Gallery
from workers.experts.retrieval_destylizer import RetrievalDestylizer, destylizer_digest
from workers.experts.retrieval_stylizer import RetrievalStylizer, stylizer_digest


class ExpertError(ValueError):
    """An expert of the spec cannot be used; the message names its place in the spec, and the mend."""


def build_expert(
    entry: ExpertEntry,
    role: ExpertRole,
    gallery: Gallery,
    *,
    device: str = "cpu",
    bought: Bought | None = None,
    workers: int = 1,
) -> Expert:
    """Return an expert, its weights loaded onto a device. Raises ValueError on weights that do not go together.

    Of an endpoint, `bought` keeps the images that were paid for, and a budget is shared out among `workers`.
    """
    if isinstance(entry, RetrievalSpec):
        if role == "stylize":
            return RetrievalStylizer(gallery)
        return RetrievalDestylizer(gallery, min_overlap=entry.min_overlap)
    if isinstance(entry, HttpSpec):
        from workers.experts.http.expert import HttpExpert

        return HttpExpert(entry.settings(), role, gallery, bought=bought, share=1 / workers)
    if isinstance(entry, DiffusersSpec):
        from workers.experts.diffusers.expert import DiffusersExpert

        return DiffusersExpert(entry.settings(), role, gallery, device=device)
    from workers.experts.uso.destylizer import UsoDestylizer
    from workers.experts.uso.stylizer import UsoStylizer

    if isinstance(entry, UsoStylizeSpec):
        return UsoStylizer(entry.settings(), gallery, device=device)
    return UsoDestylizer(entry.settings(), device=device)


def expert_digests(spec: JobSpec, role: ExpertRole) -> list[str]:
    """Return the digest of each expert of a role, without loading any weights.

    Raises ExpertError where files are missing, or a hub name cannot be fetched.
    """
    digests = []
    for place, entry in enumerate(spec.experts.of(role)):
        try:
            digests.append(_digest(entry, role))
        except (ValueError, OSError) as error:
            raise ExpertError(f"experts.{role}[{place}]: {error}") from error
    return digests


def describe_experts(spec: JobSpec) -> dict[str, dict[str, Any]]:
    """Return role, title and share of all experts of a job by digest, and whether they draw, for reports."""
    found = {}
    for role in EXPERT_ROLES:
        entries, shares = spec.experts.of(role), spec.experts.shares(role)
        for entry, share, digest in zip(entries, shares, expert_digests(spec, role), strict=True):
            draws = not isinstance(entry, RetrievalSpec)
            title = entry.title if not isinstance(entry, RetrievalSpec) else "retrieval"
            found[digest] = {"role": role, "title": title, "share": round(share, 4), "draws": draws, **_beside(entry)}
    return found


def require_endpoints(spec: JobSpec) -> None:
    """Ask every endpoint that draws or captions for its list of models, which costs nothing.

    Raises ExpertError where one cannot be reached, or refuses the key: before any candidate is spent on it.
    """
    asked: dict[str, EndpointSettings] = {
        f"experts.{role}[{place}]": entry
        for role in EXPERT_ROLES
        for place, entry in enumerate(spec.experts.of(role))
        if isinstance(entry, HttpSpec)
    }
    if isinstance(spec.captions, OpenAICaptions):
        asked["captions"] = spec.captions
    for key, entry in asked.items():
        fault = Client(entry).check()
        if fault is not None:
            raise ExpertError(
                f"{key}: {entry.model} cannot be asked ({fault.reason}: {fault.detail}); check base_url and api_key_env"
            )


def device_of(stage: StageSpec) -> str:
    """Return the device of a stage's workers: a GPU where the stage asks for one and there is one."""
    import torch

    return "cuda" if stage.gpus > 0 and torch.cuda.is_available() else "cpu"


def _beside(entry: ExpertEntry) -> dict[str, Any]:
    """Return what a report wants to know of an expert, and its digest does not cover."""
    if isinstance(entry, DiffusersSpec):
        return {"library": f"diffusers {version('diffusers')}"}
    return {"price": entry.price} if isinstance(entry, HttpSpec) else {}


def _digest(entry: ExpertEntry, role: ExpertRole) -> str:
    if isinstance(entry, RetrievalSpec):
        return stylizer_digest() if role == "stylize" else destylizer_digest(entry.min_overlap)
    if isinstance(entry, HttpSpec):
        from workers.experts.http.identity import expert_digest as of_endpoint

        return of_endpoint(entry.settings(), role)
    if isinstance(entry, DiffusersSpec):
        from workers.experts.diffusers.files import expert_digest as of_pipeline

        return of_pipeline(entry.settings(), role)
    from workers.experts.uso.files import expert_digest

    return expert_digest(entry.settings(), role)
