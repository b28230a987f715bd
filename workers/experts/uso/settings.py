"""What a drawing expert is made of: weights, how images are drawn with them, and where the target is given."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from uso.presets import PATCH
from workers.experts.prompt_template import checked_template

_STEP = 8 * PATCH
"""Pixels that a side must be a multiple of: 8 a latent pixel, 2 latent pixels a token."""

Side = Annotated[int, Field(ge=_STEP, le=4096, multiple_of=_STEP)]

PLACES = ("pipeline", "base", "t5", "clip", "vae", "lora", "projector", "vision")
"""Where weights lie; what lies there enters an expert's identity by its sha256."""

_UNSEEN = (*PLACES, "batch", "name")
"""What does not decide an image beyond rounding, or does so by the files behind it."""


class UsoSettings(BaseModel):
    """A checkpoint in USO's format, and how it draws.

    Places are files, folders, or hub names; a part that is not given is the pipeline's. `reference` says where the
    network is given the target: among its content references, as UNO's experts take it (USO 3.2), or as the style
    image. Raises ValueError (pydantic's) naming the key where parts do not go together or are not there.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str | None = Field(default=None, min_length=1, max_length=40, description="Name in reports.")
    pipeline: str = Field(description="FLUX.1-dev's layout, a folder or hub name: base, text encoders, autoencoder.")
    base: Path | None = Field(default=None, description="Base weights, in place of the pipeline's.")
    t5: str | None = Field(default=None, description="T5 encoder, in place of the pipeline's.")
    clip: str | None = Field(default=None, description="CLIP text encoder, in place of the pipeline's.")
    vae: str | None = Field(default=None, description="Autoencoder, in place of the pipeline's.")
    lora: Path | None = Field(default=None, description="dit_lora.safetensors of a USO release.")
    projector: Path | None = Field(default=None, description="projector.safetensors of a USO release.")
    vision: str | None = Field(default=None, description="Vision tower of style images; `nano` ships.")
    style_layers: tuple[int, int, int] = Field(default=(-2, -11, -20), description="Its hidden states, highest first.")
    text_length: int = Field(default=512, ge=1, description="Tokens of a prompt.")
    reference: Literal["content", "style"] = "content"
    size: Side = Field(default=512, description="Longer side of what is drawn; stored images have the job's size.")
    content_size: Side | None = Field(default=None, description="Longer side of content references; `size` without it.")
    steps: int = Field(default=25, ge=1, le=1000, description="Euler steps.")
    guidance: float = Field(default=4.0, ge=0, description="Distilled guidance, for networks that take one.")
    cfg_scale: float = Field(
        default=1.0,
        ge=0,
        description="Classifier-free guidance against no prompt and no references, for small networks; 1: none.",
    )
    shift: Literal["true", "upstream", "none"] = Field(
        default="true", description="Sequence length that shifts the schedule, as in `uso.schedule`."
    )
    id_shift: Literal["d", "h", "w", "o"] = Field(
        default="d", description="Where position ids of content references start, as in `uso.position_ids`."
    )
    batch: int = Field(default=4, ge=1, le=256, description="Images that go through the network together.")
    dtype: Literal["float32", "bfloat16"] = "float32"

    @field_validator("base", "lora", "projector")
    @classmethod
    def _there(cls, path: Path | None) -> Path | None:
        if path is not None and not path.exists():
            raise ValueError(f"{path} does not exist; `triptych train` writes such files")
        return path

    @model_validator(mode="after")
    def _complete(self) -> Self:
        if self.reads_style:
            lacking = [key for key in ("projector", "vision") if getattr(self, key) is None]
            if lacking:
                raise ValueError(
                    f"reference: style needs {' and '.join(lacking)} too, which turn the image into tokens"
                )
        return self

    @property
    def reads_style(self) -> bool:
        """Tell whether the network is given a style image."""
        return self.reference == "style"

    @property
    def content_side(self) -> int:
        """Return the longer side of content references, in pixels."""
        return self.content_size or self.size

    @property
    def title(self) -> str:
        """Return a short name for reports: its own, or that of the folder in which release or base lie."""
        return self.name or f"uso {self.lora.parent.name if self.lora is not None else Path(self.pipeline).name}"

    def parameters(self) -> dict[str, Any]:
        """Return what decides an image beside the weights and the request, as plain values."""
        return self.model_dump(mode="json", exclude=set(_UNSEEN))


class StylizeSettings(UsoSettings):
    """A stylization expert: draws a new subject in the target's style.

    `new_subject: prompt` names the subject by the prompt alone. `new_subject: picture` also gives a photorealistic
    picture of it, in the content place, while the target stands in the style place.
    """

    prompt: str = Field(default="{subject}", description="Template; `{subject}` is the new subject's name.")
    new_subject: Literal["prompt", "picture"] = "prompt"

    @field_validator("prompt")
    @classmethod
    def _template(cls, prompt: str) -> str:
        return checked_template(prompt)

    @model_validator(mode="after")
    def _place_for_a_picture(self) -> Self:
        if self.new_subject == "picture" and self.reference != "style":
            raise ValueError("new_subject: picture takes the content place, so the target needs reference: style")
        return self


class DestylizeSettings(UsoSettings):
    """A de-stylization expert: draws the target's subject as a photograph, where it stands or elsewhere.

    It is prompted with the request's own prompt, which is empty where the layout is to be preserved.
    """
