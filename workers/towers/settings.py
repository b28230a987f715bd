"""What a tower is told by a job spec. Towers with equal settings are one tower in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Dtype = Literal["float32", "bfloat16", "float16"]

PLACES = ("weights", "model", "pretrained")
"""Keys that say where files lie; what lies there enters a tower's digest by its sha256."""


class _Settings(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    batch: int = Field(default=32, ge=1, le=4096, description="Images that go through the network together.")
    dtype: Dtype = Field(default="float32", description="Of the network; vectors are always float32.")
    threads: int = Field(
        default=1, ge=1, le=64, description="Threads that bring images into the network's size, ahead of it."
    )


class NanoSettings(BaseModel):
    """The nano encoder, whose weights ship with the package. It runs on the CPU, in batches of one size of its own."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["nano"] = "nano"
    weights: Path | None = Field(default=None, description="Weights in safetensors; those of the package unless given.")


class CsdSettings(_Settings):
    """CSD (Somepalli et al. 2024), in safetensors."""

    kind: Literal["csd"]
    weights: Path = Field(description="Weights in safetensors; `triptych encoders csd-convert` makes them.")

    @field_validator("weights")
    @classmethod
    def _there(cls, path: Path) -> Path:
        if not path.is_file():
            raise ValueError(
                f"{path} does not exist; `triptych encoders csd-convert` makes it of CSD's released checkpoint"
            )
        if path.suffix != ".safetensors":
            raise ValueError(
                f"{path} is no safetensors file; `triptych encoders csd-convert {path.name} csd.safetensors` makes one"
            )
        return path


class OpenClipSettings(_Settings):
    """Any model of open_clip.

    `model` is a name that open_clip knows (`ViT-L-14-quickgelu`), `hf-hub:OWNER/NAME`, a folder with
    `open_clip_config.json` and weights, or a JSON file with a model configuration of one's own. `pretrained` is a tag
    that open_clip knows (`openai`) or a file with weights; folders and the hub bring theirs along.
    """

    kind: Literal["open_clip"]
    model: str = Field(min_length=1)
    pretrained: str | None = Field(default=None, min_length=1)


class Dinov2Settings(_Settings):
    """DINOv2 (Oquab et al. 2023), or another model of transformers that has a class token."""

    kind: Literal["dinov2"]
    model: str = Field(min_length=1, description="A folder or a hub name; `//subfolder` may follow.")


class SiglipSettings(_Settings):
    """The vision tower of SigLIP (Zhai et al. 2023) or SigLIP 2."""

    kind: Literal["siglip"]
    model: str = Field(min_length=1, description="A folder or a hub name; `//subfolder` may follow.")


class SscdSettings(_Settings):
    """SSCD (Pizzi et al. 2022), the TorchScript file of its release."""

    kind: Literal["sscd"]
    weights: Path = Field(description="TorchScript file, e.g. sscd_disc_mixup.torchscript.pt.")
    side: int = Field(default=320, ge=32, le=1024, description="Images are brought to a square of this side.")

    @field_validator("weights")
    @classmethod
    def _there(cls, path: Path) -> Path:
        if not path.is_file():
            raise ValueError(f"{path} does not exist; give the TorchScript file of SSCD's release")
        return path


class ClassifierSettings(_Settings):
    """An image classifier of transformers, and the label whose probability is the score."""

    kind: Literal["transformers"] = "transformers"
    model: str = Field(min_length=1, description="A folder or a hub name; `//subfolder` may follow.")
    label: str = Field(min_length=1, description="The label, as the model's configuration writes it.")


TowerSettings = (
    NanoSettings | CsdSettings | OpenClipSettings | Dinov2Settings | SiglipSettings | SscdSettings | ClassifierSettings
)

StyleTower = Annotated[NanoSettings | CsdSettings | OpenClipSettings, Field(discriminator="kind")]
"""Towers that tell how an image is made."""

SubjectTower = Annotated[NanoSettings | Dinov2Settings | SiglipSettings | OpenClipSettings, Field(discriminator="kind")]
"""Towers that tell what an image shows."""
