"""Moving a subject within its picture: the transform, how it is drawn, and how it is applied."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from workers.experts.base import Mask, Pixels

_TRIES = 48
_OPAQUE = 128


class LayoutMove(BaseModel):
    """A similarity transform of the subject: turned about the centre of its bounding box, scaled, placed elsewhere.

    `x` and `y` are where the centre of its bounding box goes, as fractions of the picture's width and height.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    angle: float = Field(description="Degrees, counter-clockwise.")
    mirrored: bool
    scale: float = Field(gt=0)
    x: float
    y: float

    def matrix(self, mask: Mask) -> NDArray[np.float64]:
        """Return the `[2, 3]` affine matrix (pixels to pixels) that moves the subject under `mask`."""
        height, width = mask.shape
        left, top, right, bottom = bounding_box(mask)
        centre = np.array([(left + right) / 2, (top + bottom) / 2])
        turn = math.radians(self.angle)
        linear = self.scale * np.array([[math.cos(turn), math.sin(turn)], [-math.sin(turn), math.cos(turn)]])
        if self.mirrored:
            linear = linear @ np.array([[-1.0, 0.0], [0.0, 1.0]])
        goal = np.array([self.x * width, self.y * height])
        return np.column_stack([linear, goal - linear @ centre])


def bounding_box(mask: Mask) -> tuple[int, int, int, int]:
    """Return `(left, top, right, bottom)` of what a mask covers, right and bottom exclusive.

    An empty mask counts as covering the whole picture.
    """
    rows, columns = np.flatnonzero((mask >= _OPAQUE).any(axis=1)), np.flatnonzero((mask >= _OPAQUE).any(axis=0))
    if rows.size == 0:
        return 0, 0, mask.shape[1], mask.shape[0]
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def overlap(a: Mask, b: Mask) -> float:
    """Return the intersection over union of what two masks cover, 0 to 1; two empty masks overlap fully."""
    inside_a, inside_b = a >= _OPAQUE, b >= _OPAQUE
    union = np.count_nonzero(inside_a | inside_b)
    return float(np.count_nonzero(inside_a & inside_b) / union) if union else 1.0


def warp(
    image: NDArray[np.uint8],
    matrix: NDArray[np.float64],
    *,
    fill: tuple[int, ...],
    shape: tuple[int, ...] | None = None,
) -> NDArray[np.uint8]:
    """Return an image or mask warped by an affine matrix, `fill` where nothing lands.

    The result has the size of `shape` (`[height, width, ...]`), or the image's own.
    """
    flags = cv2.INTER_AREA if abs(np.linalg.det(matrix[:, :2])) < 1 else cv2.INTER_CUBIC
    height, width = (shape or image.shape)[:2]
    size = (width, height)
    moved = cv2.warpAffine(image, matrix, size, flags=flags, borderMode=cv2.BORDER_CONSTANT, borderValue=fill)
    return np.asarray(moved, dtype=np.uint8)


def draw_move(mask: Mask, *, seed: int, max_overlap: float = 0.35) -> LayoutMove:
    """Draw a move after which the subject overlaps its old place by at most `max_overlap` (intersection over union).

    Turns by 15 to 75 degrees either way, mirrors every second time, scales to 0.45 to 0.8, and places the subject
    wholly inside the picture. Where no draw of many satisfies the bound, the one that moves most is returned.
    """
    rng = np.random.default_rng(seed)
    best: tuple[float, LayoutMove] | None = None
    for _ in range(_TRIES):
        move = _draw_once(mask, rng)
        kept = overlap(mask, warp(mask, move.matrix(mask), fill=(0,)))
        if best is None or kept < best[0]:
            best = (kept, move)
        if kept <= max_overlap:
            break
    assert best is not None
    return best[1]


def _draw_once(mask: Mask, rng: np.random.Generator) -> LayoutMove:
    height, width = mask.shape
    left, top, right, bottom = bounding_box(mask)
    angle = float(rng.uniform(15, 75) * rng.choice((-1, 1)))
    mirrored = bool(rng.random() < 0.5)
    turn = math.radians(abs(angle))
    wide = (right - left) * math.cos(turn) + (bottom - top) * math.sin(turn)
    high = (right - left) * math.sin(turn) + (bottom - top) * math.cos(turn)
    largest = min(0.8, width / wide, height / high)
    scale = float(min(rng.uniform(0.45, 0.8), largest))
    margin_x, margin_y = scale * wide / width / 2, scale * high / height / 2
    x = float(rng.uniform(margin_x, max(margin_x, 1 - margin_x)))
    y = float(rng.uniform(margin_y, max(margin_y, 1 - margin_y)))
    return LayoutMove(angle=round(angle, 2), mirrored=mirrored, scale=round(scale, 3), x=round(x, 4), y=round(y, 4))


def apply_move(pixels: Pixels, mask: Mask, move: LayoutMove, *, backdrop: Pixels) -> Pixels:
    """Return the subject under `mask`, moved, over `backdrop`; edges are blended by the mask's own softness."""
    matrix = move.matrix(mask)
    covered = warp(mask, matrix, fill=(0,)).astype(np.float32)[..., None] / 255
    premultiplied = (pixels.astype(np.float32) * (mask[..., None] / 255)).clip(0, 255)
    subject = cv2.warpAffine(
        premultiplied.astype(np.float32), matrix, (pixels.shape[1], pixels.shape[0]), flags=cv2.INTER_LINEAR
    )
    return np.asarray((subject + backdrop * (1 - covered)).clip(0, 255).round(), dtype=np.uint8)
