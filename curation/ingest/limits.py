"""The limits under which an image is decoded."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator

READ_CAP = 256 * 1024 * 1024
"""Bytes of one image above which it is not even read, whatever the limits of a job."""

ImageFormat = Literal["PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"]


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


class Limits(BaseModel):
    """What an image may be at most, and what becomes of animation and transparency."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_bytes: int = Field(
        default=64 * 1024 * 1024, ge=1024, le=READ_CAP, description="Largest encoded file, in bytes."
    )
    max_pixels: int = Field(
        default=64_000_000, ge=256, le=178_000_000, description="Most pixels, width times height, that are decoded."
    )
    max_side: int = Field(default=16384, ge=16, le=65535, description="Longest side, in pixels.")
    min_side: int = Field(default=16, ge=1, le=65535, description="Shortest side, in pixels.")
    formats: tuple[Annotated[ImageFormat, BeforeValidator(_upper)], ...] = Field(
        default=("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF"),
        min_length=1,
        description="Formats that are let in, told by the file's first bytes and never by its name.",
    )
    allow_animation: bool = Field(default=False, description="Take the first frame of an animation or many-paged file.")
    background: str = Field(default="#ffffff", description="What shows through transparent pixels, as #rrggbb in sRGB.")

    @field_validator("background")
    @classmethod
    def _colour(cls, background: str) -> str:
        digits = background[1:]
        if not (background.startswith("#") and len(digits) == 6 and set(digits.lower()) <= set("0123456789abcdef")):
            raise ValueError("write the colour as # and six hexadecimal digits, in quotes, e.g. '#ffffff'")
        return background.lower()

    @model_validator(mode="after")
    def _sides(self) -> Self:
        if self.min_side > self.max_side:
            raise ValueError(f"min_side is {self.min_side}, above max_side {self.max_side}: no image would be let in")
        return self

    @property
    def background_rgb(self) -> tuple[int, int, int]:
        """Return the background as three values of 0 to 255."""
        red, green, blue = bytes.fromhex(self.background[1:])
        return red, green, blue
