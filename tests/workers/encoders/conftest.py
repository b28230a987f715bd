"""Works that are drawn here: four shapes in three hands under two treatments, told apart in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import cv2
import numpy as np
import pytest
import torch

from manifests.images import CALIBRATION_FOLD, HELDOUT_FOLD, fold_of
from uso.nano.tower import TowerShape
from workers.encoders.data import Pool, Work

SHAPE = TowerShape(side=32, channels=(8, 12, 16, 24), blocks=(0, 0, 1, 0), mixtures=6, width=16)


def named(prefix: str, count: int) -> list[str]:
    """Return names whose folds may be fitted on."""
    names = (f"{prefix}-{number}" for number in range(1000))
    return [name for name in names if fold_of(name) not in (HELDOUT_FOLD, CALIBRATION_FOLD)][:count]


def draw(work: Work) -> np.ndarray:
    """Draw a star whose corners are the subject's, in the family's colour, filled or as an outline."""
    rng = np.random.default_rng(sum(work.subject.encode()))
    corners = int(rng.integers(3, 9))
    reach = rng.uniform(8, 24, corners)
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    points = np.stack([32 + reach * np.cos(angles), 32 + reach * np.sin(angles)], axis=1).round().astype(np.int32)
    colour = {"red": (200, 30, 30), "green": (20, 140, 40), "ink": (10, 10, 10)}[work.family]
    image = np.full((64, 64, 3), 255, np.uint8)
    if work.treatment == "none":
        cv2.fillPoly(image, [points], colour)
    else:
        cv2.polylines(image, [points], True, colour, 3)
    return image


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Small networks lose more by waiting for each other's threads than they gain, above all on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def works() -> list[Work]:
    styles = product(named("shape", 24), ("red", "green", "ink"), ("none", "outline"))
    return [Work(subject, family, treatment, f"{family}/{subject}") for subject, family, treatment in styles]


@pytest.fixture(scope="session")
def pool(works: list[Work]) -> Pool:
    images = np.stack([cv2.resize(draw(work), (32, 32), interpolation=cv2.INTER_AREA) for work in works])
    return Pool(tuple(works), images)


@pytest.fixture
def shape() -> TowerShape:
    return SHAPE
