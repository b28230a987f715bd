"""Experts that edit a picture by an instruction, in either role."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from manifests.images import ImageRef
from workers.experts.base import Expert, ExpertFailure, ExpertImage, ExpertRequest, ExpertRole, Gallery, Pixels
from workers.experts.editing.instructions import Instruction, Instructions
from workers.experts.lineage import destylized_ref, drawn_by, stylized_ref
from workers.experts.new_subject import NO_OTHER_SUBJECT, NewSubjects
from workers.experts.picture_size import resized


@dataclass(frozen=True)
class Edit:
    """One picture to change: the target, what is said of it, and the seed of whatever is random.

    `aligned` says that what comes out is to lie over the picture: nothing may move.
    """

    key: str
    picture: Pixels
    prompt: str
    seed: int
    aligned: bool


class EditingExpert(Expert):
    """Hands the target to a model with an instruction that the request's seed draws (after USO 3.2).

    De-stylizing asks for a photograph of the target, with the layout kept or shifted. Stylizing asks for another
    subject, named by the instruction, in the target's style; it is one of the target's split.
    """

    def __init__(self, role: ExpertRole, instructions: Instructions, gallery: Gallery) -> None:
        self.role = role
        self._instructions = instructions
        self._subjects = NewSubjects(gallery)

    @abstractmethod
    def edit(self, edits: Sequence[Edit]) -> list[Pixels | ExpertFailure]:
        """Return the picture `[height, width, 3]` that came of each edit, of any size, or why there is none."""

    def generate(self, requests: Sequence[ExpertRequest]) -> list[ExpertImage | ExpertFailure]:
        """Return an edited image, brought to the longer side of its target, or why there is none, for each request."""
        planned = [self._plan(request) for request in requests]
        edited = iter(self.edit([plan[0] for plan in planned if not isinstance(plan, ExpertFailure)]))
        return [
            plan if isinstance(plan, ExpertFailure) else self._finished(request, *plan, next(edited))
            for request, plan in zip(requests, planned, strict=True)
        ]

    def _plan(self, request: ExpertRequest) -> tuple[Edit, ImageRef, Instruction] | ExpertFailure:
        if self.role == "destylize":
            said = self._instructions.destylizing(request.layout, request.seed)
            ref = destylized_ref(request, self.digest)
        else:
            subject = self._subjects.named(request.target_ref, np.random.default_rng(request.seed))
            if subject is None:
                return ExpertFailure(*NO_OTHER_SUBJECT)
            said = self._instructions.stylizing(subject.spoken, request.seed)
            ref = stylized_ref(request, subject, [request.target_ref], self.digest)
        aligned = self.role == "destylize" and request.layout == "preserved"
        return Edit(request.candidate_id, request.target, said.text, request.seed, aligned), ref, said

    def _finished(
        self, request: ExpertRequest, edit: Edit, ref: ImageRef, said: Instruction, made: Pixels | ExpertFailure
    ) -> ExpertImage | ExpertFailure:
        if isinstance(made, ExpertFailure):
            return made
        how = drawn_by(self.digest, self.title, prompt=edit.prompt, seed=edit.seed, inputs=[request.target_ref])
        if said.move is not None:
            how["move"] = said.move
        return ExpertImage(resized(made, max(request.target.shape[:2])), ref, how)
