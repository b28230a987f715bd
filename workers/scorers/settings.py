"""What the scorers are told by a job spec."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from workers.towers.settings import (
    ClassifierSettings,
    NanoSettings,
    OpenClipSettings,
    SscdSettings,
    StyleTower,
    SubjectTower,
)

_PHOTOGRAPHS = ("a photograph", "a photo")
_ARTWORKS = ("a painting", "a drawing", "a render")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class PhashSettings(_Part):
    """Copies by the perceptual hash."""

    kind: Literal["phash"] = "phash"


class PhotorealismSettings(OpenClipSettings):
    """Photorealism by a CLIP: how much nearer the content reference is to some texts than to others."""

    photographs: tuple[str, ...] = Field(default=_PHOTOGRAPHS, min_length=1, description="What it is to look like.")
    artworks: tuple[str, ...] = Field(default=_ARTWORKS, min_length=1, description="What it is not to look like.")

    def tower(self) -> OpenClipSettings:
        """Return the settings of the CLIP alone."""
        return OpenClipSettings.model_validate(self.model_dump(exclude={"photographs", "artworks"}))


class AestheticSettings(_Part):
    """LAION's aesthetic predictor: a small network on the image vector of a CLIP (ViT-L/14 of OpenAI, as released)."""

    kind: Literal["laion"]
    head: Path = Field(description="The predictor's weights: safetensors, or the released .pth.")
    clip: OpenClipSettings

    @field_validator("clip", mode="before")
    @classmethod
    def _kind_is_known(cls, value: Any) -> Any:
        return {"kind": "open_clip", **value} if isinstance(value, dict) else value

    @field_validator("head")
    @classmethod
    def _there(cls, path: Path) -> Path:
        return _existing(path, "give the weights of LAION's aesthetic predictor")


class YunetSettings(_Part):
    """Faces by YuNet (Wu et al. 2023), as OpenCV runs it."""

    kind: Literal["yunet"]
    weights: Path = Field(description="ONNX file, e.g. face_detection_yunet_2023mar.onnx of OpenCV's model zoo.")
    confidence: float = Field(default=0.9, gt=0, lt=1, description="Least confidence at which a face counts.")

    @field_validator("weights")
    @classmethod
    def _there(cls, path: Path) -> Path:
        return _existing(path, "give YuNet's ONNX file, or `kind: cascade`, which needs none")


class CascadeSettings(_Part):
    """Frontal faces by the cascade of local binary patterns that scikit-image ships."""

    kind: Literal["cascade"]


class ScorerSettings(_Part):
    """Which model is behind which score. What is not named is not measured; style, subject and copies always are."""

    neighbours: int = Field(default=10, ge=1, description="Neighbours in the reference bank that count for CSLS.")
    style: StyleTower = Field(default=NanoSettings(), description="Tower of the style scores.")
    subject: SubjectTower = Field(default=NanoSettings(), description="Tower of the subject scores.")
    text: OpenClipSettings | None = Field(default=None, description="CLIP behind text_alignment.")
    copies: Annotated[PhashSettings | SscdSettings, Field(discriminator="kind")] = Field(
        default=PhashSettings(), description="What copy_paste is measured by."
    )
    photorealism: PhotorealismSettings | None = None
    aesthetic: AestheticSettings | None = None
    nsfw: ClassifierSettings | None = None
    watermark: ClassifierSettings | None = None
    faces: Annotated[YunetSettings | CascadeSettings, Field(discriminator="kind")] | None = None

    @field_validator("style", "subject", "copies", "faces", mode="before")
    @classmethod
    def _by_name(cls, value: Any) -> Any:
        return {"kind": value} if isinstance(value, str) else value


def _existing(path: Path, mend: str) -> Path:
    if not path.is_file():
        raise ValueError(f"{path} does not exist; {mend}")
    return path
