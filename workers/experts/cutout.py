"""Cutting a subject from its background, and painting the hole shut."""

from __future__ import annotations

import cv2
import numpy as np

from workers.experts.base import Mask, Pixels

_PLAIN_DEVIATION = 14.0
_DIFFERENT = 18.0
_MARGIN = 0.08
_CUT_SIDE = 160


def border_colour(pixels: Pixels) -> tuple[np.ndarray, float]:
    """Return the median colour of the picture's rim (`[3]`, 0 to 255) and how much the rim deviates from it."""
    band = max(2, min(pixels.shape[:2]) // 24)
    rim = np.concatenate(
        [
            pixels[:band].reshape(-1, 3),
            pixels[-band:].reshape(-1, 3),
            pixels[:, :band].reshape(-1, 3),
            pixels[:, -band:].reshape(-1, 3),
        ]
    ).astype(np.float32)
    colour = np.median(rim, axis=0)
    return colour, float(np.abs(rim - colour).mean())


def subject_mask(pixels: Pixels) -> Mask:
    """Return the coverage of the subject of a picture that comes without a mask.

    On a plain background: what differs from the colour of the rim, holes filled. Elsewhere: GrabCut (Rother et al.
    2004) started from the picture less a margin. Deterministic. Falls back to a central ellipse where the cut takes
    nothing or nearly everything.
    """
    colour, deviation = border_colour(pixels)
    if deviation < _PLAIN_DEVIATION:
        apart = np.linalg.norm(pixels.astype(np.float32) - colour, axis=2) > _DIFFERENT + 2 * deviation
        mask = fill_holes(apart.astype(np.uint8) * 255)
    else:
        mask = _grab_cut(pixels)
    share = float((mask > 0).mean())
    if 0.01 < share < 0.97:
        return mask
    return _ellipse(pixels.shape[0], pixels.shape[1])


def backdrop_without(pixels: Pixels, mask: Mask) -> Pixels:
    """Return the picture with its subject painted over: plain where the background is, else inpainted (Telea 2004)."""
    colour, deviation = border_colour(pixels)
    if deviation < _PLAIN_DEVIATION:
        return np.broadcast_to(colour.round().astype(np.uint8), pixels.shape).copy()
    side = max(pixels.shape[:2])
    factor = min(1.0, _CUT_SIDE / side)
    small = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    hole = cv2.resize(mask, (small.shape[1], small.shape[0]), interpolation=cv2.INTER_NEAREST)
    hole = cv2.dilate((hole > 16).astype(np.uint8) * 255, np.ones((7, 7), np.uint8))
    filled = cv2.GaussianBlur(cv2.inpaint(small, hole, 5, cv2.INPAINT_TELEA), (0, 0), 2)
    filled = cv2.resize(filled, (pixels.shape[1], pixels.shape[0]), interpolation=cv2.INTER_CUBIC)
    soft = cv2.GaussianBlur(cv2.dilate(mask, np.ones((9, 9), np.uint8)), (0, 0), 2)[..., None] / 255.0
    return np.asarray((filled * soft + pixels * (1 - soft)).round().clip(0, 255), dtype=np.uint8)


def fill_holes(mask: Mask) -> Mask:
    """Return a mask that also covers what it encloses: the silhouette of an outline."""
    closed = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, np.ones((3, 3), np.uint8))
    padded = np.pad(closed, 1)
    flood = padded.copy()
    cv2.floodFill(flood, np.zeros((flood.shape[0] + 2, flood.shape[1] + 2), np.uint8), (0, 0), 255)
    return np.asarray((padded | ~flood)[1:-1, 1:-1], dtype=np.uint8)


def _grab_cut(pixels: Pixels) -> Mask:
    height, width = pixels.shape[:2]
    factor = min(1.0, _CUT_SIDE / max(height, width))
    small = cv2.resize(pixels, None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    high, wide = small.shape[:2]
    margin_x, margin_y = max(1, int(wide * _MARGIN)), max(1, int(high * _MARGIN))
    labels = np.zeros((high, wide), np.uint8)
    inside = (margin_x, margin_y, max(1, wide - 2 * margin_x), max(1, high - 2 * margin_y))
    cv2.setRNGSeed(0)
    try:
        cv2.grabCut(small, labels, inside, np.zeros((1, 65)), np.zeros((1, 65)), 3, cv2.GC_INIT_WITH_RECT)
    except cv2.error:
        return _ellipse(height, width)
    mask = np.where((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD), 255, 0).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    return np.asarray(cv2.resize(mask, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.uint8)


def _ellipse(height: int, width: int) -> Mask:
    mask = np.zeros((height, width), np.uint8)
    cv2.ellipse(mask, (width // 2, height // 2), (int(width * 0.35), int(height * 0.35)), 0, 0, 360, 255, -1)
    return mask
