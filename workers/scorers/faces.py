"""How many faces the target shows."""

from __future__ import annotations

from typing import Any, ClassVar, Protocol

import cv2
import numpy as np

from workers.scorers.base import Pixels, Scorer, Trio
from workers.scorers.settings import CascadeSettings, YunetSettings

_OVERLAP = 0.3
_MOST = 5000
_LEAST_SIDE = 24
_SCALE_STEP = 1.2
_NEIGHBOURS = 8


class FaceDetector(Protocol):
    """Finds faces in an image."""

    def count(self, pixels: Pixels) -> int:
        """Return how many faces an image `[height, width, 3]` shows."""


class Faces(Scorer):
    """Number of faces in the target."""

    column: ClassVar[str] = "faces"

    def __init__(self, detector: FaceDetector) -> None:
        self._detector = detector

    def score(self, trio: Trio) -> float:
        """Return the number."""
        return float(self._detector.count(trio.target.pixels))


class Yunet:
    """YuNet (Wu et al. 2023) through OpenCV. Raises ValueError where the file is none that OpenCV can run."""

    def __init__(self, settings: YunetSettings) -> None:
        try:
            self._detector: Any = cv2.FaceDetectorYN.create(
                str(settings.weights), "", (320, 320), settings.confidence, _OVERLAP, _MOST
            )
        except cv2.error as error:
            cause = " ".join(str(error).split())
            raise ValueError(f"{settings.weights}: OpenCV cannot read it as YuNet's ONNX file: {cause}") from error

    def count(self, pixels: Pixels) -> int:
        """Return how many faces there are of the least confidence or more."""
        height, width = pixels.shape[:2]
        self._detector.setInputSize((width, height))
        _, found = self._detector.detect(cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR))
        return 0 if found is None else len(found)


class Cascade:
    """The frontal-face cascade that scikit-image ships (Liao et al. 2007).

    It needs no weights, and is crude beside YuNet: it misses faces that are turned, and sees some where there are none.
    Raises ImportError without scikit-image.
    """

    def __init__(self) -> None:
        try:
            from skimage import data
            from skimage.feature import Cascade as Detector
        except ImportError as error:
            raise ImportError("faces: kind: cascade needs scikit-image: pip install 'triptych[faces]'") from error
        self._detector: Any = Detector(data.lbp_frontal_face_cascade_filename())

    def count(self, pixels: Pixels) -> int:
        """Return how many faces there are, of a twelfth of the shorter side (24 pixels at least) and more."""
        side = min(pixels.shape[:2])
        if side < _LEAST_SIDE:
            return 0
        least = max(_LEAST_SIDE, side // 12)
        found = self._detector.detect_multi_scale(
            img=np.ascontiguousarray(pixels),
            scale_factor=_SCALE_STEP,
            step_ratio=1,
            min_size=(least, least),
            max_size=(side, side),
            min_neighbor_number=_NEIGHBOURS,
        )
        return len(found)


def build_detector(settings: YunetSettings | CascadeSettings) -> FaceDetector:
    """Return the detector that a spec asks for."""
    return Yunet(settings) if isinstance(settings, YunetSettings) else Cascade()
