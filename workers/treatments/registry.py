"""The treatments there are, by name."""

from __future__ import annotations

from typing import Any

from workers.treatments.base import Treatment
from workers.treatments.chalkboard import Chalkboard
from workers.treatments.cross_stitch import CrossStitch
from workers.treatments.duotone import Duotone
from workers.treatments.halftone import Halftone
from workers.treatments.hatching import Hatching
from workers.treatments.mosaic import Mosaic
from workers.treatments.neural import Neural
from workers.treatments.oil import Oil
from workers.treatments.pencil import Pencil
from workers.treatments.pixel import Pixel
from workers.treatments.watercolor import Watercolor

_DEFAULT: tuple[type[Treatment], ...] = (
    Pencil,
    Hatching,
    Watercolor,
    Oil,
    Halftone,
    Pixel,
    Mosaic,
    Duotone,
    Chalkboard,
    CrossStitch,
)

DEFAULT_TREATMENTS: tuple[str, ...] = tuple(kind.name for kind in _DEFAULT)
"""Names of the treatments that a job applies unless its spec says otherwise."""

_ALL: tuple[type[Treatment], ...] = (*_DEFAULT, Neural)

TREATMENTS: dict[str, type[Treatment]] = {kind.name: kind for kind in _ALL}


def treatment(name: str, **parameters: Any) -> Treatment:
    """Return a treatment by name, with some parameters set. Raises ValueError for an unknown name or parameter."""
    if name not in TREATMENTS:
        raise ValueError(f"unknown treatment {name!r}; there are: none, {', '.join(TREATMENTS)}")
    return TREATMENTS[name](**parameters)
