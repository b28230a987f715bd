"""De-stylize by retrieval: the target's subject from the family that plays the photorealistic side."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from manifests.identities import digest_of
from workers.experts.base import (
    Expert,
    ExpertFailure,
    ExpertImage,
    ExpertRequest,
    ExpertRole,
    Gallery,
    Mask,
    Picture,
    Pixels,
)
from workers.experts.cutout import backdrop_without, fill_holes, subject_mask
from workers.experts.faults import Fault
from workers.experts.layout_move import LayoutMove, apply_move, bounding_box, draw_move, overlap, warp

_MIN_OVERLAP = 0.6
_MIRROR_GAIN = 0.04
_MAX_STRETCH = 1.3


class RetrievalDestylizer(Expert):
    """Draws the content reference from the gallery: the same subject, photorealistic.

    `preserved`: where source masks are known, the picture is registered to the target (mirrored where that fits
    better, stretched by at most 1.3, placed), and the request fails as `no_layout_match` where the subjects still
    overlap by less than `min_overlap`; without masks the picture is used as it is, being the photograph that the
    target was painted from. `shifted`: the subject is cut out, turned, mirrored, scaled and placed elsewhere by a
    seeded move that is recorded with the image.

    Asked for a fault, it commits it (`workers.experts.faults`).
    """

    role: ExpertRole = "destylize"
    title = "retrieval"

    def __init__(self, gallery: Gallery, *, min_overlap: float = _MIN_OVERLAP) -> None:
        self._gallery = gallery
        self._min_overlap = min_overlap

    @property
    def digest(self) -> str:
        """Return the digest of the method and its parameters."""
        return destylizer_digest(self._min_overlap)

    def generate(self, requests: Sequence[ExpertRequest]) -> list[ExpertImage | ExpertFailure]:
        """Return a content reference for each request."""
        return [self._one(request) for request in requests]

    def _one(self, request: ExpertRequest) -> ExpertImage | ExpertFailure:
        rng = np.random.default_rng(request.seed)
        if request.fault == Fault.PLAIN_COPY:
            return ExpertImage(_recompressed(request.target), request.target_ref, {"kind": "copied"})
        if request.fault == Fault.CONTENT_STYLIZED:
            return self._still_stylized(request, rng)
        picture = self._realistic(request, rng)
        if isinstance(picture, ExpertFailure):
            return picture
        shift = request.layout == "shifted"
        if request.fault in (Fault.SHIFT_MISSING, Fault.PRESERVED_MOVED):
            shift = not shift
        if shift:
            return _moved(picture.pixels, picture.mask, picture, seed=int(rng.integers(2**62)))
        return self._registered(picture, request)

    def _realistic(self, request: ExpertRequest, rng: np.random.Generator) -> Picture | ExpertFailure:
        subject = request.target_ref.subject
        if request.fault == Fault.WRONG_SUBJECT:
            others = [name for name in self._gallery.realistic_subjects(request.target_ref.split) if name != subject]
            if not others:
                return ExpertFailure("no_other_subject", "the gallery has no other photorealistic subject")
            subject = others[int(rng.integers(len(others)))]
        refs = [ref for ref in self._gallery.realistic(subject) if ref.style != request.target_ref.style]
        problems: list[str] = []
        for ref in rng.permutation(np.array(refs, dtype=object)).tolist() if refs else []:
            try:
                return self._gallery.load(ref)
            except LookupError as error:
                problems.append(f"{ref.locator}: {error}")
        return ExpertFailure("no_content_reference", "; ".join(problems) or f"no photorealistic image of {subject}")

    def _registered(self, picture: Picture, request: ExpertRequest) -> ExpertImage | ExpertFailure:
        if picture.mask is None:
            return ExpertImage(picture.pixels, picture.ref)
        goal = self._gallery.load(request.target_ref).mask
        if goal is None:
            return ExpertImage(picture.pixels, picture.ref)
        pixels, mask, transform = register(picture.pixels, picture.mask, goal)
        reached = overlap(mask, fill_holes(goal))
        if request.fault is None and reached < self._min_overlap:
            return ExpertFailure(
                "no_layout_match", f"subjects overlap by {reached:.2f}, {self._min_overlap:.2f} is asked for"
            )
        return ExpertImage(pixels, picture.ref, transform)

    def _still_stylized(self, request: ExpertRequest, rng: np.random.Generator) -> ExpertImage:
        seed = int(rng.integers(2**62))
        if request.layout == "shifted":
            return _moved(request.target, None, Picture(request.target, None, request.target_ref), seed=seed)
        mask = subject_mask(request.target)
        left, top, right, bottom = bounding_box(mask)
        height, width = mask.shape
        nudge = LayoutMove(
            angle=round(float(rng.uniform(-6, 6)), 2),
            mirrored=False,
            scale=round(float(rng.uniform(0.9, 0.97)), 3),
            x=round((left + right) / 2 / width, 4),
            y=round((top + bottom) / 2 / height, 4),
        )
        pixels = apply_move(request.target, mask, nudge, backdrop=backdrop_without(request.target, mask))
        return ExpertImage(pixels, request.target_ref, {"kind": "moved", **nudge.model_dump()})


def destylizer_digest(min_overlap: float) -> str:
    """Return the digest of de-stylizing by retrieval with a bound on overlap."""
    return digest_of({"backend": "retrieval", "role": "destylize", "version": 1, "min_overlap": min_overlap})


def register(pixels: Pixels, mask: Mask, goal: Mask) -> tuple[Pixels, Mask, dict[str, float | bool | str]]:
    """Fit a picture's subject to the bounding box of another: mirrored if that fits better, stretched a little, placed.

    Masks count as silhouettes: what an outline encloses belongs to the subject. Returns the picture and its mask in
    the size of `goal`, and the transform that was applied.
    """
    mask, goal = fill_holes(mask), fill_holes(goal)
    left, top, right, bottom = bounding_box(mask)
    goal_left, goal_top, goal_right, goal_bottom = bounding_box(goal)
    stretch_x, stretch_y = (goal_right - goal_left) / (right - left), (goal_bottom - goal_top) / (bottom - top)
    mean, play = float(np.sqrt(stretch_x * stretch_y)), float(np.sqrt(_MAX_STRETCH))
    stretch_x, stretch_y = (float(np.clip(s, mean / play, mean * play)) for s in (stretch_x, stretch_y))
    centre = np.array([(left + right) / 2, (top + bottom) / 2])
    there = np.array([(goal_left + goal_right) / 2, (goal_top + goal_bottom) / 2])
    fits = []
    for sign in (1.0, -1.0):
        linear = np.array([[sign * stretch_x, 0.0], [0.0, stretch_y]])
        matrix = np.column_stack([linear, there - linear @ centre])
        fits.append((overlap(warp(mask, matrix, fill=(0,), shape=goal.shape), goal), matrix))
    mirrored = fits[1][0] > fits[0][0] + _MIRROR_GAIN
    matrix = fits[1 if mirrored else 0][1]
    colour = tuple(int(c) for c in np.median(backdrop_without(pixels, mask).reshape(-1, 3), axis=0))
    height, width = goal.shape
    transform: dict[str, float | bool | str] = {
        "kind": "registered",
        "mirrored": mirrored,
        "stretch_x": round(stretch_x, 3),
        "stretch_y": round(stretch_y, 3),
        "x": round(float(there[0]) / width, 4),
        "y": round(float(there[1]) / height, 4),
    }
    placed = warp(mask, matrix, fill=(0,), shape=goal.shape)
    return warp(pixels, matrix, fill=colour, shape=goal.shape), placed, transform


def _moved(pixels: Pixels, known: Mask | None, picture: Picture, *, seed: int) -> ExpertImage:
    mask = subject_mask(pixels) if known is None else known
    move = draw_move(mask, seed=seed)
    image = apply_move(pixels, mask, move, backdrop=backdrop_without(pixels, mask))
    return ExpertImage(image, picture.ref, {"kind": "moved", **move.model_dump()})


def _recompressed(pixels: Pixels) -> Pixels:
    encoded = cv2.imencode(".jpg", pixels[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 85])[1]
    return np.asarray(
        cv2.cvtColor(np.asarray(cv2.imdecode(encoded, cv2.IMREAD_COLOR)), cv2.COLOR_BGR2RGB), dtype=np.uint8
    )
