"""Everything that decides which weights a fit ends with."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Recipe(BaseModel):
    """How an encoder is fitted; the default is what the shipped weights were fitted with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = Field(default=7, ge=0)
    steps: int = Field(default=3000, ge=1)
    styles_per_batch: int = Field(default=16, ge=2)
    images_per_style: int = Field(default=8, ge=2)
    subjects_per_batch: int = Field(default=32, ge=2)
    learning_rate: float = Field(default=1.4e-3, gt=0, description="At its highest; a cosine follows.")
    warmup: int = Field(default=50, ge=1)
    weight_decay: float = Field(default=0.03, ge=0)
    style_temperature: float = Field(default=0.1, gt=0)
    subject_temperature: float = Field(default=0.08, gt=0)
    subject_weight: float = Field(default=2.5, ge=0)
    invented: float = Field(default=0.2, ge=0, le=1, description="Share of style groups that get a made-up look.")
    ramp: float = Field(default=0.1, gt=0, le=1, description="Share of the steps until moves and looks are in full.")
    untreated_weight: float = Field(default=3.0, gt=0, description="How much likelier an untreated style is drawn.")
    treated_each: int = Field(default=4, ge=1, description="Treatments under which each drawing is fitted on.")
    left_out_family: str = Field(default="openmoji", description="Not fitted on, in any treatment.")
    left_out_treatments: tuple[str, ...] = Field(
        default=("halftone", "watercolor"), description="Not fitted on, in any family."
    )
