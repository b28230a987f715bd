"""What a captioner is told by a spec."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from workers.captions.question import read_question
from workers.endpoints.settings import WHERE, EndpointSettings


class CaptionSettings(BaseModel):
    """What all captioners that look at pictures share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    question: str = Field(default="v1", description="Version of the question.")
    image_side: int = Field(default=512, ge=32, le=4096, description="Longest side of the picture shown, in pixels.")
    max_tokens: int = Field(default=120, ge=8, le=4096, description="Most tokens of one caption.")

    @field_validator("question")
    @classmethod
    def _ships(cls, version: str) -> str:
        read_question(version)
        return version


class OpenAICaptionSettings(EndpointSettings, CaptionSettings):
    """A captioner behind a chat endpoint in OpenAI's form."""

    temperature: float = Field(default=0.0, ge=0, le=2)
    extra_body: dict[str, Any] = Field(default={}, description="Further fields of the request.")

    def parameters(self) -> dict[str, Any]:
        """Return what decides a caption beside the question; where the endpoint stands does not."""
        return self.model_dump(mode="json", exclude={*WHERE, "question"})


class TransformersCaptionSettings(CaptionSettings):
    """A captioner that runs in the worker: an image-text-to-text model of transformers."""

    model: str = Field(min_length=1, description="Folder or hub name.")
    revision: str | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    batch: int = Field(default=8, ge=1, le=256, description="Pictures in one call of the model.")
    device_map: str | None = Field(default=None, description="As transformers takes it; the worker's device otherwise.")

    def parameters(self) -> dict[str, Any]:
        """Return what decides a caption beside weights and question."""
        return self.model_dump(mode="json", exclude={"model", "revision", "batch", "device_map", "question"})
