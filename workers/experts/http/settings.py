"""What an expert behind an endpoint is told by a spec."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field, field_validator

from workers.endpoints.settings import WHERE, EndpointSettings
from workers.experts.editing.settings import EditSettings

_MB = 1024 * 1024


class HttpSettings(EndpointSettings, EditSettings):
    """An image-edit endpoint (`POST images/edits`): where it stands, what it is asked for, and what is accepted."""

    size: str | None = Field(
        default=None, pattern=r"^(auto|[0-9]{2,4}x[0-9]{2,4})$", description="Asked size, e.g. 1024x1024 or auto."
    )
    quality: str | None = Field(default=None, min_length=1, max_length=20)
    image_side: int = Field(default=1024, ge=32, le=4096, description="Longest side of the picture that is sent.")
    answer: Literal["b64_json", "url"] | None = Field(
        default=None, description="`response_format`, for servers that take it."
    )
    url_hosts: tuple[str, ...] = Field(
        default=(), description="Hosts from which images are fetched, beside the endpoint's own."
    )
    extra_body: dict[str, Any] = Field(default={}, description="Further fields of the request.")
    max_mb: float = Field(default=32.0, gt=0, le=512, description="Largest answer that is read, in MB.")
    max_side: int = Field(default=8192, ge=64, le=16384, description="Longest side of an image that is decoded.")

    @field_validator("url_hosts")
    @classmethod
    def _bare(cls, hosts: tuple[str, ...]) -> tuple[str, ...]:
        for host in hosts:
            if "/" in host or ":" in host or "@" in host:
                raise ValueError(f"{host!r} is no host name; leave scheme, port and path out")
        return hosts

    @property
    def title(self) -> str:
        """Return a short name for reports: its own, or that of the model."""
        return self.name or self.model

    @property
    def max_bytes(self) -> int:
        """Return the largest answer that is read, in bytes."""
        return round(self.max_mb * _MB)

    @property
    def canvas(self) -> tuple[int, int] | None:
        """Return the width and height that are asked for, where they are stated."""
        if self.size is None or self.size == "auto":
            return None
        width, height = self.size.split("x")
        return int(width), int(height)

    def parameters(self) -> dict[str, Any]:
        """Return what decides an image beside the instructions, as plain values; where the endpoint stands does not."""
        aside = {*WHERE, "name", "instructions", "answer", "url_hosts", "max_mb", "max_side"}
        return self.model_dump(mode="json", exclude=aside)
