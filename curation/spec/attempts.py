"""How often, and by which routes, candidates that failed are tried again."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from manifests.identities import digest_of
from workers.experts.base import ExpertRole
from workers.experts.prompt_template import checked_template

NEVER_AGAIN: tuple[str, ...] = (
    *("ingest:", "duplicate_of:", "load_failed:"),
    *("aesthetic", "nsfw", "watermark", "faces", "contamination"),
)
"""Beginnings of reasons that no further attempt can lift: they are about the target, which stays as it is."""

Prefix = Annotated[str, Field(min_length=1, max_length=100)]


class RouteSpec(BaseModel):
    """One way to try again. The seed is always another one; what else changes is named here."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,39}$", description="Name in the manifest and in reports.")
    prompt: str | None = Field(default=None, description="Another prompt; its only field is {subject}.")
    stylize: str | None = Field(default=None, description="Name of the expert that is to make the style reference.")
    destylize: str | None = Field(default=None, description="Name of the expert that is to make the content reference.")
    reasons: tuple[Prefix, ...] | None = Field(
        default=None,
        description="Only candidates with a reason that begins so; all but those of the target unless given.",
    )

    @field_validator("prompt")
    @classmethod
    def _template(cls, prompt: str | None) -> str | None:
        return prompt if prompt is None else checked_template(prompt)

    def expert(self, role: ExpertRole) -> str | None:
        """Return the name of the expert that the route asks for in a role, None where the draw decides."""
        return self.stylize if role == "stylize" else self.destylize

    def takes(self, reasons: tuple[str, ...]) -> bool:
        """Tell whether a candidate that was rejected for these reasons goes this way."""
        if not reasons or any(reason.startswith(NEVER_AGAIN) for reason in reasons):
            return False
        return self.reasons is None or any(reason.startswith(self.reasons) for reason in reasons)

    @property
    def digest(self) -> str:
        """Return the digest of what the route changes; its name and the reasons that lead to it are not in it."""
        kept: dict[str, Any] = self.model_dump(mode="json", include={"prompt", "stylize", "destylize"})
        return digest_of(kept)


class AttemptsSpec(BaseModel):
    """Further attempts: the first goes by the first route, the second by the second; the last route is kept to."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    most: int = Field(default=1, ge=1, le=16, description="Attempts in all, the first included.")
    routes: tuple[RouteSpec, ...] = Field(default=(RouteSpec(name="again"),), min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> Self:
        names = [route.name for route in self.routes]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two routes are named {name!r}: give each a name of its own")
        if self.most > 1 and len(self.routes) > self.most - 1:
            unused = ", ".join(names[self.most - 1 :])
            raise ValueError(
                f"most is {self.most}, so the routes {unused} are never taken: raise it, or leave them out"
            )
        return self

    def route(self, attempt: int) -> RouteSpec:
        """Return the route of a further attempt; they count from 1."""
        return self.routes[min(attempt, len(self.routes)) - 1]
