"""Stylize by drawing: a new subject in the target's style."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from manifests.images import ImageRef
from workers.experts.base import ExpertFailure, ExpertRequest, ExpertRole, Gallery, Picture
from workers.experts.lineage import stylized_ref
from workers.experts.new_subject import NO_OTHER_SUBJECT, NewSubjects
from workers.experts.uso.expert import UsoExpert
from workers.experts.uso.model import Order
from workers.experts.uso.settings import StylizeSettings

_TRIES = 16


class UsoStylizer(UsoExpert[StylizeSettings]):
    """Draws the style reference: the target's style, carried over to a subject that the request's seed draws (USO 3.2).

    Named by the prompt alone, the new subject is one of the training split, whose names a network may know. With
    `new_subject: picture` it is one of the target's split, and its photorealistic picture goes along.
    """

    role: ExpertRole = "stylize"

    def __init__(self, settings: StylizeSettings, gallery: Gallery, *, device: str = "cpu") -> None:
        super().__init__(settings, device=device)
        self._gallery = gallery
        self._subjects = NewSubjects(gallery)

    def _plan(self, request: ExpertRequest) -> tuple[Order, ImageRef, Sequence[ImageRef]] | ExpertFailure:
        rng = np.random.default_rng(request.seed)
        pictured = self.settings.new_subject == "picture"
        split = request.target_ref.split if pictured else "train"
        choices = self._subjects.choices(request.target_ref, split, pictured=pictured)
        if not choices:
            return ExpertFailure(*NO_OTHER_SUBJECT)
        inputs, pixels = [request.target_ref], None
        if pictured:
            picture = self._picture(choices, rng)
            if isinstance(picture, ExpertFailure):
                return picture
            subject, pixels = picture.ref, picture.pixels
            inputs.append(subject)
        else:
            subject = choices[int(rng.integers(len(choices)))]
        prompt = self.settings.prompt.format(subject=subject.spoken)
        order = self._order(request, prompt, int(rng.integers(2**62)), pixels)
        if isinstance(order, ExpertFailure):
            return order
        return order, stylized_ref(request, subject, inputs, self.digest), inputs

    def _picture(self, choices: Sequence[ImageRef], rng: np.random.Generator) -> Picture | ExpertFailure:
        problems = []
        for place in rng.permutation(len(choices))[:_TRIES]:
            ref = choices[int(place)]
            try:
                return self._gallery.load(ref)
            except LookupError as error:
                problems.append(f"{ref.locator}: {error}")
        return ExpertFailure("no_picture", "; ".join(problems))
