"""Where an endpoint stands, how it is asked, and what a run may spend on it."""

from __future__ import annotations

from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, field_validator

WHERE: frozenset[str] = frozenset({"base_url", "api_key_env", "concurrency", "timeout", "retries", "budget", "price"})
"""Keys that say where an endpoint stands and how often it is asked: none of them decides an answer."""


class Budget(BaseModel):
    """What a run may spend; what is left over when it is spent gets no answer, and says so."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    requests: int | None = Field(default=None, ge=1, description="Requests, those tried again included.")
    cost: float | None = Field(default=None, gt=0, description="Sum of the prices of what was answered.")


class EndpointSettings(BaseModel):
    """An endpoint in OpenAI's form."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_url: str = Field(description="Address of the endpoint up to its version, e.g. http://host:8000/v1.")
    model: str = Field(min_length=1, description="Name of the model, as the endpoint calls it.")
    api_key_env: str | None = Field(
        default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]*$", description="Environment variable that holds the key."
    )
    concurrency: int = Field(default=8, ge=1, le=1024, description="Requests under way at once, of one worker.")
    timeout: float = Field(default=180.0, gt=0, le=3600, description="Seconds until one try counts as failed.")
    retries: int = Field(default=5, ge=0, le=20, description="Further tries after a failure that may pass.")
    price: float = Field(default=0.0, ge=0, description="What one answer costs, in the currency of `budget.cost`.")
    budget: Budget = Budget()

    @field_validator("base_url")
    @classmethod
    def _address(cls, url: str) -> str:
        parts = urlsplit(url)
        if parts.username or parts.password or "@" in parts.netloc:
            raise ValueError("an address may hold no credentials: set api_key_env to the variable that holds the key")
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is no address; write http://host:port/v1")
        return url
