"""Moves move, jitter stays mild, and made-up looks are shared by a group."""

from __future__ import annotations

import math

import numpy as np
import torch

from workers.encoders.augment import augment, invent_styles, move


def dot(x: int, y: int, side: int = 32) -> torch.Tensor:
    image = torch.ones(1, 3, side, side)
    image[:, :, y - 2 : y + 3, x - 2 : x + 3] = 0
    return image


def centre(image: torch.Tensor) -> tuple[float, float]:
    ink = 1 - image[0].mean(dim=0)
    ys, xs = torch.meshgrid(torch.arange(ink.shape[0]), torch.arange(ink.shape[1]), indexing="ij")
    return float((xs * ink).sum() / ink.sum()), float((ys * ink).sum() / ink.sum())


def moved(image: torch.Tensor, *, angle: float = 0, mirrored: bool = False, scale: float = 1, shift=(0.0, 0.0)):
    return move(image, torch.tensor([angle]), torch.tensor([mirrored]), torch.tensor([scale]), torch.tensor([shift]))


def test_moves_do_what_their_names_say() -> None:
    image = dot(24, 16)
    assert np.allclose(centre(moved(image)), (24, 16), atol=0.1)
    assert np.allclose(centre(moved(image, mirrored=True)), (7, 16), atol=0.2)
    assert np.allclose(centre(moved(image, scale=0.5)), (19.8, 15.8), atol=0.3)
    assert np.allclose(centre(moved(image, shift=(0.25, -0.5))), (28, 8), atol=0.2)
    turned = centre(moved(image, angle=math.pi / 2))
    assert math.isclose(turned[0], 15.5, abs_tol=0.6)
    assert abs(turned[1] - 15.5) > 7


def test_what_comes_in_from_outside_has_the_colour_of_the_rim() -> None:
    image = torch.full((1, 3, 32, 32), 0.25)
    image[:, :, 10:20, 10:20] = 1
    assert torch.allclose(moved(image, scale=0.5)[:, :, :4], torch.tensor(0.25), atol=1e-5)


def test_augmentation_keeps_range_and_repeats_itself() -> None:
    images = torch.rand(16, 3, 32, 32)
    treated = torch.arange(16) % 2 == 0
    once, again = (augment(images, treated, np.random.default_rng(5)) for _ in range(2))
    assert torch.equal(once, again)
    assert float(once.min()) >= 0
    assert float(once.max()) <= 1
    assert not torch.allclose(once, images, atol=0.05)


def test_groups_share_a_made_up_look_and_the_others_are_left_alone() -> None:
    images = torch.rand(1, 3, 16, 16).expand(24, 3, 16, 16).clone()
    slots = torch.arange(24) // 4
    for seed in range(10):
        changed, invented = invent_styles(images, slots, 0.5, np.random.default_rng(seed))
        assert invented.shape == (6,)
        for slot in range(6):
            assert torch.equal(changed[slots == slot], images[slots == slot]) != bool(invented[slot])
