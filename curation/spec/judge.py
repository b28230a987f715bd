"""The judge of a job: which model looks at the triplets, at which of them, and how it is itself examined."""

from __future__ import annotations

import os
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from workers.judges.settings import JudgeSettings, OpenAISettings, TransformersSettings


class _Judging(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    short_circuit: bool = Field(
        default=True, description="Judge only what the policy's rules on scores let through; the rest says `skipped`."
    )
    canaries: int = Field(default=6, ge=0, le=256, description="Triplets of known verdict that every run sends first.")


class OpenAIJudgeSpec(_Judging, OpenAISettings):
    """A judge behind a chat endpoint in OpenAI's form."""

    kind: Literal["openai"]

    @model_validator(mode="after")
    def _has_key(self) -> Self:
        if self.api_key_env is not None and not os.environ.get(self.api_key_env):
            raise ValueError(f"api_key_env names {self.api_key_env}, which is not set in this environment")
        return self

    def settings(self) -> OpenAISettings:
        """Return what the judge is built from."""
        return OpenAISettings.model_validate(_plain(self))


class TransformersJudgeSpec(_Judging, TransformersSettings):
    """A judge that runs in the workers."""

    kind: Literal["transformers"]

    def settings(self) -> TransformersSettings:
        """Return what the judge is built from."""
        return TransformersSettings.model_validate(_plain(self))


JudgeSpec = Annotated[OpenAIJudgeSpec | TransformersJudgeSpec, Field(discriminator="kind")]


def _plain(spec: JudgeSettings) -> dict[str, object]:
    return spec.model_dump(exclude={"kind", "short_circuit", "canaries"})
