"""What is known of an image before any of its bytes are read."""

from __future__ import annotations

import hashlib
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Split = Literal["train", "heldout"]

HELDOUT_FOLD = 9
CALIBRATION_FOLD = 8
UNTREATED = "none"

GENERATED = "generated"
"""Source of images that an expert drew, and the kind of their transform."""


def fold_of(subject: str) -> int:
    """Return the fold of a subject: sha256(name) mod 10.

    Fold 9 is held out from everything that is fitted or trained: skill is reported on it. Fold 8 is left out of
    fitting encoders too, so that thresholds can be calibrated on subjects whose scores are not flattered.
    """
    return int.from_bytes(hashlib.sha256(subject.encode()).digest(), "big") % 10


def split_of(subject: str) -> Split:
    """Return the split of a subject: held-out subjects are curated and reported, and never fitted or trained on."""
    return "heldout" if fold_of(subject) == HELDOUT_FOLD else "train"


class ImageRef(BaseModel):
    """One image of a source: where it lies, what it shows, in which style, and under which licence.

    `locator` and `treatment` together name an image within its source. `fingerprint` changes when the bytes behind
    the locator change (package version and name, file size and time, archive digest), so that what was ingested
    earlier can be recognised without reading it again.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str = Field(description="Name of the source, as the job spec gives it.")
    locator: str = Field(description="Where the image lies inside its source, e.g. `noto/cat` or `a.tar#x.png`.")
    fingerprint: str = Field(description="Changes when the bytes behind the locator change.")
    subject: str = Field(description="Name of what the image shows; equal names are the same subject.")
    family: str = Field(description="The hand that made it; images of one family look alike.")
    treatment: str = Field(default=UNTREATED, description="The painting applied to it, `none` for none.")
    caption: str | None = None
    licence: str | None = Field(default=None, description="SPDX identifier, if known.")
    author: str | None = None
    attribution_url: str | None = None
    package: str | None = Field(default=None, description="Package and version that carried it.")

    @property
    def style(self) -> str:
        """Return the style's name: the family, and the treatment where there is one."""
        return self.family if self.treatment == UNTREATED else f"{self.family}+{self.treatment}"

    @property
    def split(self) -> Split:
        """Return the split that the subject falls into."""
        return split_of(self.subject)

    @property
    def spoken(self) -> str:
        """Return what a prompt calls the subject: the caption, or else the subject's name as words."""
        return self.caption or self.subject.replace("-", " ").replace("_", " ")

    def treated(self, treatment: str) -> ImageRef:
        """Return the same image under another treatment."""
        return self.model_copy(update={"treatment": treatment})
