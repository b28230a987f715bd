"""Experts that edit by instruction, in a spec: a pipeline of diffusers, or an endpoint."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import model_validator

from curation.spec.expert_keys import Share
from workers.experts.diffusers.settings import DiffusersSettings
from workers.experts.http.settings import HttpSettings

_OWN = {"kind", "share"}


class DiffusersSpec(DiffusersSettings):
    """An expert that edits with a pipeline of diffusers, in either role."""

    kind: Literal["diffusers"]
    share: Share = 1.0

    @model_validator(mode="after")
    def _usable(self) -> Self:
        if Path(self.pipeline).is_dir():  # one by hub name is checked once it was fetched, before any work too
            from workers.experts.diffusers.files import require_usable

            require_usable(self.settings())
        return self

    def identity(self) -> dict[str, Any]:
        """Return what decides the expert's images: class, parameters, instructions, and the sha256 of its files."""
        from workers.experts.diffusers.files import identity

        return {"kind": "diffusers", **identity(self.settings())}

    def settings(self) -> DiffusersSettings:
        """Return what the expert is built from."""
        return DiffusersSettings.model_validate(self.model_dump(exclude=_OWN))


class HttpSpec(HttpSettings):
    """An expert that edits through an endpoint in OpenAI's form, in either role."""

    kind: Literal["http"]
    share: Share = 1.0

    @model_validator(mode="after")
    def _has_key(self) -> Self:
        if self.api_key_env is not None and not os.environ.get(self.api_key_env):
            raise ValueError(f"api_key_env names {self.api_key_env}, which is not set in this environment")
        return self

    def identity(self) -> dict[str, Any]:
        """Return what decides the expert's images: model name, parameters and instructions, not where it stands."""
        from workers.experts.http.identity import identity

        return {"kind": "http", **identity(self.settings())}

    def settings(self) -> HttpSettings:
        """Return what the expert is built from."""
        return HttpSettings.model_validate(self.model_dump(exclude=_OWN))
