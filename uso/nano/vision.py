"""The nano tower in SigLIP's role: style images as features of three depths, low ones for brush and grain."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional

from manifests.identities import digest_of_file
from uso.encoders import EncoderError, FrozenEncoder
from uso.images import flatten
from uso.nano.square import to_square
from uso.nano.tower import NanoTower
from uso.nano.weights import SHIPPED, load_tower
from uso.projector import StyleFeatures

NANO_SOURCE = "nano"
"""Source of the tower that ships; `nano:FILE.safetensors` is one of another fit."""

_GRID = 8
_LEVELS = len(StyleFeatures._fields)


class NanoVision(FrozenEncoder):
    """A nano tower that gives the feature maps of its last three stages, on a grid of 8 x 8.

    Its features are `[n, 64, width]`, where `width` is that of the last stage (192 in the tower that ships); lower
    stages have fewer channels, and zeros for the rest. Channels are centred and scaled by what the weights alone say of
    their mean and deviation, so features are about as large as those of other towers. Raises EncoderError on a tower of
    fewer than three stages.
    """

    def __init__(self, model: NanoTower, source: str, digest: str) -> None:
        super().__init__(model, source)
        self.digest = digest
        self.width = model.shape.channels[-1]
        if len(model.stages) < _LEVELS or max(model.shape.channels) > self.width:
            raise EncoderError(
                f"{source}: style features need {_LEVELS} stages or more, the last one the widest, "
                f"and this tower's have {model.shape.channels} channels"
            )
        self._moments = [stage_moments(stage) for stage in model.stages][-_LEVELS:]

    @classmethod
    def load(cls, source: str, *, dtype: torch.dtype, device: torch.device | str = "cpu") -> NanoVision:
        """Load the tower that ships (`nano`), or another (`nano:FILE.safetensors`).

        Raises EncoderError when the file is not there or is no tower.
        """
        if not is_nano(source):
            raise EncoderError(f"{source}: is no nano tower; those are `nano` and `nano:FILE.safetensors`")
        path = nano_weights(source)
        try:
            tower = load_tower(path)
        except (OSError, ValueError) as error:
            raise EncoderError(f"{source}: cannot be loaded: {error}") from error
        return cls(tower.to(device, dtype), source, digest_of_file(path))

    @torch.no_grad()
    def encode(self, images: Sequence[Image.Image]) -> StyleFeatures:
        """Return the features `[images, 64, width]` of the three levels, highest first.

        Images of any sizes go through one by one: what comes out of an image does not depend on its company.
        """
        each = [self._levels(image) for image in images]
        high, mid, low = (torch.cat(levels) for levels in zip(*each, strict=True))
        return StyleFeatures(high, mid, low)

    def _levels(self, image: Image.Image) -> list[Tensor]:
        """Return the three levels, each `[1, 64, width]`, highest first."""
        pixels = torch.from_numpy(np.array(flatten(image), dtype=np.float32) / 255).permute(2, 0, 1)[None]
        square = to_square(pixels.to(self.device), self.model.shape.side).to(self.dtype)
        levels = []
        for features, (mean, deviation) in zip(self.model.maps(square)[-_LEVELS:], self._moments, strict=True):
            grid = _to_grid((features - mean.to(features)) / deviation.to(features))
            tokens = grid.flatten(2).transpose(1, 2)
            levels.append(functional.pad(tokens, (0, self.width - tokens.shape[2])))
        return levels[::-1]


def is_nano(source: str) -> bool:
    """Return whether a source of vision features means a nano tower."""
    return source == NANO_SOURCE or source.startswith(f"{NANO_SOURCE}:")


def nano_weights(source: str) -> Path:
    """Return the weights file that a source of a nano tower names; `nano` alone is the one that ships."""
    return SHIPPED if source == NANO_SOURCE else Path(source.removeprefix(f"{NANO_SOURCE}:"))


@torch.no_grad()
def stage_moments(stage: nn.Module) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation, each `[channels, 1, 1]`, of what a stage of a tower gives for typical images.

    They follow from the weights: batch normalisation makes a channel's mean its bias and its deviation its weight, and
    a block adds them up before the ReLU. Taken as normal and independent, which on the demo's images is right to a
    factor of two either way.
    """
    assert isinstance(stage, nn.Sequential)
    down, *blocks = stage
    mean, variance = _rectified(*_normalised(down.get_submodule("1")))
    for block in blocks:
        added_mean, added_variance = _normalised(block.get_submodule("norm"))
        mean, variance = _rectified(mean + added_mean, variance + added_variance)
    deviation = variance.sqrt()
    # A channel that never fires says nothing, and must not be blown up.
    deviation = deviation.clamp(min=0.1 * float(deviation.median()))
    return mean[:, None, None], deviation[:, None, None]


def _normalised(norm: nn.Module) -> tuple[Tensor, Tensor]:
    """Return mean and variance of the channels that a batch normalisation gives."""
    assert isinstance(norm, nn.BatchNorm2d)
    return norm.bias.float(), norm.weight.float().square()


def _rectified(mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and variance of the ReLU of normal variables."""
    deviation = variance.clamp(min=1e-12).sqrt()
    ratio = mean / deviation
    above = 0.5 * (1 + torch.erf(ratio / math.sqrt(2)))
    density = torch.exp(-0.5 * ratio.square()) / math.sqrt(2 * math.pi)
    first = mean * above + deviation * density
    second = (mean.square() + variance) * above + mean * deviation * density
    return first, (second - first.square()).clamp(min=0)


def _to_grid(features: Tensor) -> Tensor:
    """Return a feature map `[n, channels, 8, 8]` of one of any size: pooled where it is finer, else interpolated."""
    if min(features.shape[-2:]) >= _GRID:
        return functional.adaptive_avg_pool2d(features, _GRID)
    return functional.interpolate(features, size=(_GRID, _GRID), mode="bilinear", align_corners=False)
