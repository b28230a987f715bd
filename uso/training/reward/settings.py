"""The keys of a recipe's `reward`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from uso.images import SIDE_STEP
from uso.schedule import ScheduleShift


class _Keys(BaseModel):
    """Immutable, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ScorerSettings(_Keys):
    """Which encoder's style vectors the reward compares."""

    kind: Literal["nano", "csd"] = Field(default="nano", description="`nano` ships; `csd` is the paper's.")
    weights: Path | None = Field(default=None, description="Safetensors of its weights; `nano` has its own.")

    @model_validator(mode="after")
    def _has_weights(self) -> Self:
        if self.kind == "csd" and self.weights is None:
            raise ValueError("weights: `csd` does not ship with Triptych; name the safetensors file of its weights")
        return self


class WatchdogSettings(_Keys):
    """When a reward counts as hacked (the style rises while the content is lost), and what is done then."""

    window: int = Field(default=5, ge=1, description="Observations that are averaged, and waited for, before judging.")
    content_drop: float = Field(
        default=0.05, gt=0, le=2, description="Fall of the content similarity below its best that is not accepted."
    )
    action: Literal["stop", "lower"] = Field(default="stop", description="Stop the run, or lower the reward's weight.")
    factor: float = Field(default=0.5, ge=0, lt=1, description="What `lower` multiplies the weight by, each time.")


class RewardSettings(_Keys):
    """Style reward learning, L = L_pre + weight * L_SRL from step `start` on.

    USO publishes start, weight and CSD as the reward; margin, steps, the range of times and the bound are ours.
    """

    scorer: ScorerSettings = ScorerSettings()
    start: int = Field(ge=0, description="First step with a reward (S).")
    every: int = Field(default=1, ge=1, description="From then on, every so many steps.")
    samples: int | None = Field(
        default=None, ge=1, description="Samples of a step, over all ranks, that are rewarded; all unless given."
    )
    weight: float = Field(default=1.0, gt=0, description="Weight of the reward's loss (lambda).")
    loss: Literal["hinge", "plain"] = Field(default="hinge", description="relu(margin - R), or -R.")
    margin: float = Field(default=0.8, gt=-1, le=1, description="Reward beyond which the hinge asks for no more.")
    steps: int = Field(default=20, ge=1, description="Euler steps of the whole schedule that the rollout walks down.")
    shift: ScheduleShift = Field(default="true", description="Sequence length behind the schedule's shift.")
    guidance: float = Field(default=1.0, ge=0, description="Distilled guidance of the rollout, as in training.")
    t_start: float = Field(
        default=0.6, gt=0, le=1, description="Highest time, nearest to noise, of the step that has a gradient."
    )
    t_end: float = Field(default=0.15, gt=0, le=1, description="Lowest time of the step that has a gradient.")
    clip: float | None = Field(default=0.1, gt=0, description="Bound on the norm of the reward's own gradient.")
    decode_side: int | None = Field(
        default=None,
        ge=SIDE_STEP,
        multiple_of=SIDE_STEP,
        description="Long side in pixels that latents are shrunk to before they are decoded; whole unless given.",
    )
    watchdog: WatchdogSettings | None = WatchdogSettings()

    @model_validator(mode="after")
    def _falls(self) -> Self:
        if self.t_start < self.t_end:
            raise ValueError(
                f"t_start, t_end: times fall from 1 (noise) to 0 (image), so the range starts at the higher one; "
                f"{self.t_start} is below {self.t_end}"
            )
        return self

    def applies(self, step: int) -> bool:
        """Return whether a step has a reward."""
        return step >= self.start and (step - self.start) % self.every == 0
