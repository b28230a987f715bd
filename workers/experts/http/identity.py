"""Who an expert behind an endpoint is, as far as can be known: an endpoint does not show its weights."""

from __future__ import annotations

from typing import Any

from manifests.identities import digest_of
from workers.experts.base import ExpertRole
from workers.experts.editing.instructions import read_instructions
from workers.experts.http.settings import HttpSettings


def identity(settings: HttpSettings) -> dict[str, Any]:
    """Return model name, parameters and the digest of the instructions."""
    return {"parameters": settings.parameters(), "instructions": read_instructions(settings.instructions).digest}


def expert_digest(settings: HttpSettings, role: ExpertRole) -> str:
    """Return the digest of backend, role, model name, parameters and instructions; not of where the endpoint stands."""
    return digest_of({"backend": "http", "role": role, "version": 1, **identity(settings)})
