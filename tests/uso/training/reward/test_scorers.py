"""Both scorers give unit vectors whose gradients really reach the pixels."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from uso.training.reward.base import StyleScorer
from uso.training.reward.nano import NanoStyleScorer
from workers.encoders.load import NanoEncoder

SIZES = [(64, 64), (96, 96), (40, 40), (50, 70)]


def pictures(size: tuple[int, int], count: int = 2, seed: int = 0) -> Tensor:
    """Return images of soft blobs, `[count, 3, h, w]` within -1..1: nowhere at its ends, where bicubic is cut."""
    coarse = torch.rand(count, 3, 6, 6, generator=torch.Generator().manual_seed(seed)) * 1.2 - 0.6
    return torch.nn.functional.interpolate(coarse, size=size, mode="bilinear", align_corners=False)


def require_gradient(scorer: StyleScorer, size: tuple[int, int]) -> None:
    """Require that the reward changes along a direction in pixels as its gradient says."""
    images = pictures(size).requires_grad_()
    wanted = scorer.embed(pictures(size, seed=1)).detach()

    def reward(pixels: Tensor) -> Tensor:
        return (scorer.embed(pixels) * wanted).sum()

    value = reward(images)
    assert value.requires_grad, "the scorer cuts the gradient"
    (gradient,) = torch.autograd.grad(value, images)
    # CLIP keeps the centre of an image that is not square.
    assert float((gradient != 0).float().mean()) > (0.9 if size[0] == size[1] else 0.7)
    # Along the gradient itself, roughened, so that the change stands out from rounding.
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(2))
    direction = gradient / gradient.norm() + 0.5 * noise / noise.norm()
    changes = []
    with torch.no_grad():
        for step in (1e-3, 3e-4, 1e-4):
            changes.append(float(reward(images + step * direction) - reward(images - step * direction)) / (2 * step))
    # The median, since the nano tower's signed roots jump where a covariance changes its sign.
    assert sorted(changes)[1] == pytest.approx(float((gradient * direction).sum()), rel=0.05)


class Cut:
    """A scorer that would train nothing, in silence."""

    def __init__(self, scorer: StyleScorer) -> None:
        self.scorer = scorer
        self.digest = scorer.digest

    @torch.no_grad()
    def embed(self, images: Tensor) -> Tensor:
        return self.scorer.embed(images)

    @torch.no_grad()
    def subject(self, images: Tensor) -> Tensor:
        return self.scorer.subject(images)


@pytest.mark.parametrize("size", SIZES)
def test_the_gradient_reaches_the_pixels(scorer: StyleScorer, size: tuple[int, int]) -> None:
    require_gradient(scorer, size)


def test_a_scorer_that_cuts_the_gradient_is_found_out(scorer: StyleScorer) -> None:
    with pytest.raises(AssertionError, match="cuts the gradient"):
        require_gradient(Cut(scorer), (64, 64))


@pytest.mark.parametrize("size", SIZES)
def test_vectors_have_unit_length_and_know_their_own(scorer: StyleScorer, size: tuple[int, int]) -> None:
    for embed in (scorer.embed, scorer.subject):
        vectors = embed(pictures(size, 3))
        torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
        torch.testing.assert_close(embed(pictures(size, 3)[1:2]), vectors[1:2], atol=1e-5, rtol=0)
    assert not torch.allclose(scorer.embed(pictures(size)), scorer.subject(pictures(size)), atol=1e-3)


def test_a_scorer_is_frozen_and_stays_exact_under_autocast(scorer: StyleScorer) -> None:
    images = pictures((64, 64)).requires_grad_()
    with torch.autocast("cpu", torch.bfloat16):
        under = scorer.embed(images)
    assert torch.equal(under, scorer.embed(images))
    before = scorer.embed(images).detach()
    under.sum().backward()
    assert torch.equal(scorer.embed(images), before)
    assert len(scorer.digest) == 64


@pytest.mark.parametrize("size", SIZES)
def test_a_nano_reward_is_the_similarity_that_curation_gives(nano: NanoStyleScorer, size: tuple[int, int]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    images = torch.from_numpy(pixels).permute(2, 0, 1)[None].float() / 127.5 - 1
    for ours, theirs in zip((nano.embed(images), nano.subject(images)), NanoEncoder().embed([pixels]), strict=True):
        assert float((ours[0] * torch.from_numpy(theirs[0])).sum()) > 0.999
