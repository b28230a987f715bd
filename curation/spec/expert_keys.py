"""Keys that experts of every kind have in a spec."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

Share = Annotated[
    float,
    Field(
        ge=0, le=1e6, description="Weight of this expert beside the others of its role; 0: only where a route names it."
    ),
]

Name = Annotated[str | None, Field(min_length=1, max_length=40, description="Name in reports and in routes.")]
