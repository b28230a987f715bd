"""What a judge is told by a job spec."""

from __future__ import annotations

from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

from workers.judges.prompt import read_prompt


class JudgeSettings(BaseModel):
    """What all judges share."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: str = Field(min_length=1, description="Name of the model; for `transformers` a folder or a hub name.")
    prompt: str = Field(default="v1", description="Version of the prompt templates.")
    image_side: int = Field(
        default=512, ge=32, le=4096, description="Longer side of the images it is shown, in pixels."
    )
    max_tokens: int = Field(default=1024, ge=64, le=65_536, description="Most tokens of one answer.")

    @field_validator("prompt")
    @classmethod
    def _ships(cls, version: str) -> str:
        return read_prompt(version).version


class Budget(BaseModel):
    """What a run may spend on its judge; what is left over when it is spent is not judged, and says so."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests: int | None = Field(default=None, ge=1)
    tokens: int | None = Field(default=None, ge=1, description="Tokens read and written, together.")


class OpenAISettings(JudgeSettings):
    """A judge behind a chat endpoint in OpenAI's form: vLLM, SGLang, or a hosted one."""

    base_url: str = Field(description="Address of the endpoint up to its version, e.g. http://host:8000/v1.")
    api_key_env: str | None = Field(
        default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Environment variable that holds the key."
    )
    concurrency: int = Field(default=16, ge=1, le=1024, description="Requests under way at once, of one worker.")
    timeout: float = Field(default=120.0, gt=0, le=3600, description="Seconds until one try counts as failed.")
    retries: int = Field(default=5, ge=0, le=20, description="Further tries after a failure that may pass.")
    temperature: float = Field(default=0.0, ge=0, le=2)
    json_schema: Literal["auto", "on", "off"] = Field(
        default="auto",
        description="Whether the server constrains the answer; `auto` asks it to, and copes if it cannot.",
    )
    image_format: Literal["png", "jpeg"] = "png"
    budget: Budget = Budget()
    extra_body: dict[str, Any] = Field(
        default={}, description="Further fields of the request, for servers that take some."
    )

    @field_validator("base_url")
    @classmethod
    def _address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.username or parts.password or "@" in parts.netloc:
            raise ValueError("an address may hold no credentials: set api_key_env to the variable that holds the key")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no address; write http://host:port/v1")
        return url

    def identity(self) -> dict[str, Any]:
        """Return what decides the answers. Where the server stands, and how often it is asked, does not."""
        aside = {"base_url", "api_key_env", "concurrency", "timeout", "retries", "budget", "prompt"}
        return {"kind": "openai", **self.model_dump(mode="json", exclude=aside)}


class TransformersSettings(JudgeSettings):
    """A judge that runs in the worker: an image-text-to-text model of transformers."""

    revision: str | None = None
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    batch: int = Field(default=4, ge=1, le=256, description="Triplets in one call of the model.")
    device_map: str | None = Field(default=None, description="As transformers takes it; the worker's device otherwise.")
