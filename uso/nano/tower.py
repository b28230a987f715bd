"""The nano vision tower: a small residual network with a style head and a subject head."""

from __future__ import annotations

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor, nn
from torch.nn import functional


class TowerShape(BaseModel):
    """The sizes of a tower; they are stored with its weights."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    side: int = Field(default=64, ge=16, description="Side of the input, in pixels.")
    channels: tuple[int, ...] = Field(default=(24, 48, 96, 192), description="Channels of each stage.")
    blocks: tuple[int, ...] = Field(default=(0, 1, 2, 2), description="Residual blocks of each stage.")
    mixtures: int = Field(default=32, ge=1, description="Mixtures of channels whose statistics the style head sees.")
    width: int = Field(default=128, ge=1, description="Width of the embeddings.")


class _Block(nn.Module):
    """Two 3 x 3 convolutions around a shortcut (He et al. 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = _convolution(channels, channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        """Return the block applied to `[n, channels, height, width]`."""
        return functional.relu(x + self.norm(self.second(self.first(x))))


class _Statistics(nn.Module):
    """What a feature map looks like wherever things stand in it: means and covariances of learned channel mixtures.

    Statistics of features at several depths are what neural style transfer matches (Gatys et al. 2016); being blind to
    position, they serve styles that were never fitted. Covariances enter as signed square roots.
    """

    def __init__(self, channels: int, mixtures: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, mixtures, 1)
        self.size = mixtures + mixtures * (mixtures + 1) // 2
        rows, columns = torch.triu_indices(mixtures, mixtures)
        self.register_buffer("entries", rows * mixtures + columns, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Return the statistics, `[n, size]` float32, of `[n, channels, height, width]`."""
        mixed = self.mix(x).flatten(2)
        mean = mixed.mean(dim=2, keepdim=True)
        centred = mixed - mean
        covariance = (centred @ centred.transpose(1, 2)).float().flatten(1) / mixed.shape[2]
        upper = covariance.index_select(1, self.get_buffer("entries"))
        return torch.cat([mean.float().squeeze(2), upper.sign() * (upper.abs() + 1e-4).sqrt()], dim=1)


class NanoTower(nn.Module):
    """Maps images to two unit vectors: how they are made, and what they show.

    The style head sees only position-blind statistics of all stages; the subject head sees the mean and the maximum
    of the last stage.
    """

    def __init__(self, shape: TowerShape | None = None) -> None:
        super().__init__()
        self.shape = shape or TowerShape()
        channels = self.shape.channels
        self.stages = nn.ModuleList()
        self.statistics = nn.ModuleList()
        incoming = 3
        for outgoing, blocks in zip(channels, self.shape.blocks, strict=True):
            down = _convolution(incoming, outgoing, stride=2)
            self.stages.append(nn.Sequential(down, *(_Block(outgoing) for _ in range(blocks))))
            self.statistics.append(_Statistics(outgoing, self.shape.mixtures))
            incoming = outgoing
        seen = sum(part.size for part in self.statistics if isinstance(part, _Statistics))
        self.style_head = _head(seen, self.shape.width)
        self.subject_head = _head(2 * channels[-1], self.shape.width)

    def maps(self, images: Tensor) -> list[Tensor]:
        """Return the feature map `[n, channels, height, width]` of each stage of `[n, 3, side, side]` in 0 to 1."""
        maps = [(images - 0.5) / 0.25]
        for stage in self.stages:
            maps.append(stage(maps[-1]))
        return maps[1:]

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return `(style, subject)`, each `[n, width]` float32 of unit length, of `[n, 3, side, side]` in 0 to 1."""
        maps = self.maps(images)
        seen = [statistics(x) for statistics, x in zip(self.statistics, maps, strict=True)]
        features = maps[-1].float()
        pooled = torch.cat([features.mean(dim=(2, 3)), features.amax(dim=(2, 3))], dim=1)
        style = self.style_head(torch.cat(seen, dim=1))
        subject = self.subject_head(pooled)
        return functional.normalize(style.float(), dim=1), functional.normalize(subject.float(), dim=1)


def _convolution(incoming: int, outgoing: int, *, stride: int = 1) -> nn.Sequential:
    convolution = nn.Conv2d(incoming, outgoing, 3, stride=stride, padding=1, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outgoing), nn.ReLU(inplace=True))


def _head(incoming: int, width: int) -> nn.Sequential:
    return nn.Sequential(nn.BatchNorm1d(incoming), nn.Linear(incoming, 256), nn.ReLU(), nn.Linear(256, width))
