"""What an expert of diffusers is told by a spec: which pipeline, how it draws, and how it fits into memory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from workers.experts.editing.settings import EditSettings

SIDE_STEP = 16
"""Pixels that sides are multiples of: 8 a latent pixel, 2 latent pixels a token."""

_UNSEEN = ("name", "pipeline", "revision", "instructions", "batch", "device_map", "compile", "offload")
"""What does not decide an image beyond rounding, or does so by what stands behind it."""


class QuantizeSettings(BaseModel):
    """Weights in fewer bits, made so while they are loaded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    backend: Literal["torchao", "bitsandbytes"]
    weights: Literal["int8", "float8", "nf4"] = Field(
        default="int8", description="torchao: int8 or float8 (weights only); bitsandbytes: int8 or nf4."
    )
    parts: tuple[str, ...] = Field(default=("transformer",), min_length=1, description="Parts of the pipeline.")

    @model_validator(mode="after")
    def _has_them(self) -> Self:
        known = {"torchao": ("int8", "float8"), "bitsandbytes": ("int8", "nf4")}[self.backend]
        if self.weights not in known:
            raise ValueError(f"{self.backend} has no {self.weights} weights; choose among {', '.join(known)}")
        return self


class DiffusersSettings(EditSettings):
    """A pipeline by folder or hub name, and how it draws; what is not given is the pipeline's own choice.

    A setting that the pipeline's call does not take is refused before any work (`workers.experts.diffusers.call`).
    """

    pipeline: str = Field(min_length=1, description="Folder or hub name; its class is the one that it names itself.")
    revision: str | None = Field(default=None, description="Revision of a hub name.")
    variant: str | None = Field(default=None, description="Variant of the weights' files, e.g. fp16.")
    size: Annotated[int, Field(ge=SIDE_STEP, le=4096, multiple_of=SIDE_STEP)] = Field(
        default=1024, description="Longer side of what goes in and comes out; stored images have the job's size."
    )
    steps: int | None = Field(default=None, ge=1, le=1000)
    guidance: float | None = Field(default=None, ge=0, description="`guidance_scale`.")
    true_cfg_scale: float | None = Field(default=None, ge=0, description="Classifier-free guidance of its own.")
    image_guidance: float | None = Field(default=None, ge=0, description="`image_guidance_scale`.")
    strength: float | None = Field(default=None, gt=0, le=1, description="How much of the picture may change.")
    negative_prompt: str | None = None
    text_length: int | None = Field(default=None, ge=1, description="`max_sequence_length`.")
    arguments: dict[str, Any] = Field(default={}, description="Further arguments of the pipeline's call.")
    batch: int = Field(default=1, ge=1, le=256, description="Pictures in one call.")
    dtype: Literal["float32", "bfloat16", "float16"] = "bfloat16"
    device_map: Literal["balanced", "cuda"] | None = Field(
        default=None, description="Spread over the worker's GPUs (`balanced`), or loaded straight onto one."
    )
    compile: Literal["none", "regional", "whole"] = Field(
        default="none", description="torch.compile of the network: its repeated blocks, or all of it."
    )
    offload: Literal["none", "model", "group"] = Field(
        default="none", description="What waits in the machine's memory until it is needed."
    )
    quantize: QuantizeSettings | None = None

    @field_validator("pipeline")
    @classmethod
    def _somewhere(cls, pipeline: str) -> str:
        if not Path(pipeline).is_dir() and (Path(pipeline).is_absolute() or pipeline.count("/") != 1):
            raise ValueError(f"{pipeline} is neither a folder nor a hub name such as owner/name")
        return pipeline

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if self.device_map is not None and self.offload != "none":
            raise ValueError("device_map places the parts, and offload moves them: set one of the two")
        if (self.true_cfg_scale or 0) > 1 and self.negative_prompt is None:
            raise ValueError("true_cfg_scale guides away from negative_prompt: set one, a space will do")
        return self

    @property
    def title(self) -> str:
        """Return a short name for reports: its own, or that of the pipeline."""
        return self.name or Path(self.pipeline).name

    def parameters(self) -> dict[str, Any]:
        """Return what decides an image beside weights and instructions, as plain values."""
        return self.model_dump(mode="json", exclude=set(_UNSEEN))
