"""Stylize by retrieval: another subject, drawn in the target's style."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from manifests.identities import digest_of
from manifests.images import ImageRef
from workers.experts.base import Expert, ExpertFailure, ExpertImage, ExpertRequest, ExpertRole, Gallery
from workers.experts.cutout import backdrop_without, subject_mask
from workers.experts.faults import Fault
from workers.experts.layout_move import apply_move, draw_move

_TRIES = 256
_NAMED = 8


class RetrievalStylizer(Expert):
    """Draws the style reference from the gallery: same family and treatment, same split, another subject.

    Asked for a fault, it commits it: `wrong_style` takes the reference from another style, `style_shows_subject`
    shows the target's own subject (by another hand of the family where there is one, else the target itself, moved).
    Pictures that cannot be read are passed over; after 256 of them the request fails.
    """

    role: ExpertRole = "stylize"
    title = "retrieval"

    def __init__(self, gallery: Gallery) -> None:
        self._gallery = gallery

    @property
    def digest(self) -> str:
        """Return the digest of the method; the gallery's content is covered by the sources in the spec."""
        return stylizer_digest()

    def generate(self, requests: Sequence[ExpertRequest]) -> list[ExpertImage | ExpertFailure]:
        """Return a style reference for each request."""
        return [self._one(request) for request in requests]

    def _one(self, request: ExpertRequest) -> ExpertImage | ExpertFailure:
        rng = np.random.default_rng(request.seed)
        if request.fault == Fault.STYLE_SHOWS_SUBJECT:
            return self._own_subject(request, rng)
        style = request.target_ref.style
        if request.fault == Fault.WRONG_STYLE:
            others = [name for name in self._gallery.styles() if name != style]
            if not others:
                return ExpertFailure("no_other_style", f"the gallery has no style besides {style}")
            style = others[int(rng.integers(len(others)))]
        return self._another_subject(request, style, rng)

    def _another_subject(
        self, request: ExpertRequest, style: str, rng: np.random.Generator
    ) -> ExpertImage | ExpertFailure:
        choices = self._gallery.styled(style, request.target_ref.split)
        problems: list[str] = []
        for position in rng.permutation(len(choices)):
            ref = choices[int(position)]
            if ref.subject == request.target_ref.subject:
                continue
            try:
                return ExpertImage(self._gallery.load(ref).pixels, ref)
            except LookupError as error:
                problems.append(f"{ref.locator}: {error}")
            if len(problems) == _TRIES:
                break
        seen = "; ".join(problems[:_NAMED]) or f"no other {request.target_ref.split} subject is drawn in it"
        return ExpertFailure("no_style_reference", f"style {style}: {seen}")

    def _own_subject(self, request: ExpertRequest, rng: np.random.Generator) -> ExpertImage | ExpertFailure:
        target = request.target_ref
        hands = [ref for ref in self._gallery.of_subject(target.subject, target.style) if ref.locator != target.locator]
        for ref in rng.permutation(np.array(hands, dtype=object)).tolist() if hands else []:
            try:
                return ExpertImage(self._gallery.load(ref).pixels, ref)
            except LookupError:
                continue
        return _moved_target(request, target, rng)


def stylizer_digest() -> str:
    """Return the digest of stylizing by retrieval."""
    return digest_of({"backend": "retrieval", "role": "stylize", "version": 1})


def _moved_target(request: ExpertRequest, target: ImageRef, rng: np.random.Generator) -> ExpertImage:
    mask = subject_mask(request.target)
    move = draw_move(mask, seed=int(rng.integers(2**62)))
    backdrop = backdrop_without(request.target, mask)
    pixels = apply_move(request.target, mask, move, backdrop=backdrop)
    return ExpertImage(pixels, target, {"kind": "moved", **move.model_dump()})
