"""What all experts that edit by instruction are told by a spec."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, field_validator

from workers.experts.editing.instructions import read_instructions


class EditSettings(BaseModel):
    """A name, and the bank of instructions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str | None = Field(default=None, min_length=1, max_length=40, description="Name in reports and in routes.")
    instructions: str = Field(default="v1", description="Version of the bank of instructions, or a file of its form.")

    @field_validator("instructions")
    @classmethod
    def _readable(cls, source: str) -> str:
        read_instructions(source)
        return source
