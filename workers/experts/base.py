"""The contract of an expert, shared by retrieval and generative ones."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from manifests.images import ImageRef, Split
from manifests.records import Layout

Pixels = NDArray[np.uint8]
"""An sRGB image, `[height, width, 3]`, 0 to 255."""

Mask = NDArray[np.uint8]
"""Coverage of the subject, `[height, width]`, 0 (background) to 255."""

ExpertRole = Literal["stylize", "destylize"]

EXPERT_ROLES: tuple[ExpertRole, ...] = ("stylize", "destylize")

TransformValue = float | bool | str | Sequence[str]


@dataclass(frozen=True)
class Picture:
    """A loaded image and, where its source knows, the coverage of its subject."""

    pixels: Pixels
    mask: Mask | None
    ref: ImageRef


@dataclass(frozen=True)
class ExpertRequest:
    """What an expert is asked for: one image, for one target.

    `prompt` is empty for a preserved layout. `fault` is a kind of `workers.experts.faults.Fault` that a retrieval
    expert is told to commit, so that filters can be measured; generative experts are never given one.
    """

    candidate_id: str
    target: Pixels
    target_ref: ImageRef
    layout: Layout
    prompt: str
    seed: int
    fault: str | None = None


@dataclass(frozen=True)
class ExpertImage:
    """What an expert made, and of what: the reference of the image it took, and the move that it applied.

    An image that was drawn rather than taken has a reference of its own, and the transform says how it was drawn
    (`workers.experts.lineage`).
    """

    pixels: Pixels
    ref: ImageRef
    transform: Mapping[str, TransformValue] | None = None


@dataclass(frozen=True)
class ExpertFailure:
    """Why an expert made no image; `reason` is a short name to count by."""

    reason: str
    detail: str


class Gallery(Protocol):
    """The images that a retrieval expert may choose from; implemented over the job's sources."""

    def styled(self, style: str, split: Split) -> Sequence[ImageRef]:
        """Return the images of a style (family and treatment) in a split, in a fixed order."""

    def of_subject(self, subject: str, style: str) -> Sequence[ImageRef]:
        """Return the images of a subject in a style, in a fixed order."""

    def realistic(self, subject: str) -> Sequence[ImageRef]:
        """Return the photorealistic images of a subject, in a fixed order."""

    def realistic_subjects(self, split: Split) -> Sequence[str]:
        """Return the subjects of a split that have a photorealistic image, sorted."""

    def styles(self) -> Sequence[str]:
        """Return the names of all styles that targets may have, sorted."""

    def load(self, ref: ImageRef) -> Picture:
        """Return an image, painted as its reference says. Raises LookupError where it cannot be had."""


class Expert(ABC):
    """Makes style references (`stylize`) or content references (`destylize`) for a batch of targets."""

    role: ExpertRole
    title: str
    """A short name for reports."""

    @property
    @abstractmethod
    def digest(self) -> str:
        """Return the digest of backend, model, weights and parameters: equal digests draw equal images."""

    @abstractmethod
    def generate(self, requests: Sequence[ExpertRequest]) -> list[ExpertImage | ExpertFailure]:
        """Return one image, or one failure, for each request, in their order.

        The answer to a request depends on that request alone, never on its neighbours in the batch.
        """
