"""The differentiable square is the encoders' square, but for rounding; and gradients reach every pixel."""

from __future__ import annotations

import numpy as np
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from uso.nano.square import to_square
from workers.encoders.preprocess import to_square as encoders_square

SIDES = st.integers(1, 150)


def batch_of(picture: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(picture).permute(2, 0, 1)[None].double() / 255


@given(width=SIDES, height=SIDES, side=st.integers(16, 64), seed=st.integers(0, 100))
@example(width=128, height=128, side=64, seed=0)
@example(width=100, height=100, side=64, seed=0)
@example(width=20, height=20, side=64, seed=0)
def test_it_is_the_square_that_the_encoders_see(width: int, height: int, side: int, seed: int) -> None:
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    ours = to_square(batch_of(picture), side)[0].permute(1, 2, 0) * 255
    assert ours.shape == (side, side, 3)
    # The encoders round the rim's colour and the result to 8 bits, and OpenCV interpolates in 11 bits.
    assert np.abs(ours.numpy() - encoders_square(picture, side)).max() <= 1.51


@given(width=st.integers(1, 40), height=st.integers(1, 40), side=st.integers(2, 32))
def test_gradients_are_exact(width: int, height: int, side: int) -> None:
    images = torch.rand(1, 1, height, width, dtype=torch.float64, requires_grad=True)
    direction, weights = torch.randn_like(images), torch.randn(1, 1, side, side, dtype=torch.float64)

    def value(pixels: torch.Tensor) -> torch.Tensor:
        return (to_square(pixels, side) * weights).sum()

    (gradient,) = torch.autograd.grad(value(images), images)
    step = 1e-7
    change = (value(images + step * direction) - value(images - step * direction)) / (2 * step)
    torch.testing.assert_close((gradient * direction).sum(), change.detach(), rtol=1e-4, atol=1e-5)


@given(side=st.integers(2, 40), seed=st.integers(0, 10))
def test_every_pixel_has_a_share(side: int, seed: int) -> None:
    torch.manual_seed(seed)
    images = torch.rand(2, 3, side + 5, side + 5, requires_grad=True)
    to_square(images, side).sum().backward()
    assert images.grad is not None
    assert (images.grad > 0).all()


def test_shares_add_up_so_a_plain_image_stays_plain() -> None:
    for size in ((7, 7), (130, 90), (33, 64)):
        torch.testing.assert_close(to_square(torch.full((1, 3, *size), 0.3), 64), torch.full((1, 3, 64, 64), 0.3))
