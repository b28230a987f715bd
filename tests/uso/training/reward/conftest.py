"""Scorers, a decoder and a network at a size at which a rollout takes milliseconds."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor

from uso.latents import LatentCodec
from uso.lora import set_trainable
from uso.network import USOTransformer
from uso.training.reward.base import StyleScorer
from uso.training.reward.csd import CSDNetwork, CSDShape, CSDStyleScorer, save_csd
from uso.training.reward.nano import NanoStyleScorer
from uso.training.reward.settings import RewardSettings
from uso.velocity import Conditions

SMALL_CSD = CSDShape(side=28, patch=7, width=128, layers=2, output=24)
SETTINGS = RewardSettings(start=0, steps=5, t_start=0.9, t_end=0.1, margin=1.0)


@pytest.fixture(scope="session")
def nano() -> NanoStyleScorer:
    return NanoStyleScorer.load()


@pytest.fixture(scope="session")
def csd_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("csd") / "csd.safetensors"
    save_csd(CSDNetwork(SMALL_CSD), path)
    return path


@pytest.fixture(scope="session")
def csd(csd_file: Path) -> CSDStyleScorer:
    return CSDStyleScorer.load(csd_file, shape=SMALL_CSD)


@pytest.fixture(params=["nano", "csd"])
def scorer(request: pytest.FixtureRequest) -> StyleScorer:
    found: StyleScorer = request.getfixturevalue(request.param)
    return found


@pytest.fixture(scope="session")
def codec(pipeline: Path) -> LatentCodec:
    return LatentCodec.load(str(pipeline / "vae"), dtype=torch.float32)


@pytest.fixture
def trained(network: USOTransformer) -> USOTransformer:
    """Return the reference's network with LoRA and projector to be trained."""
    set_trainable(network, lora=True, projector=True)
    return network.train()


@pytest.fixture
def conditions(draw_conditions: Callable[..., Conditions], network: USOTransformer) -> Conditions:
    return draw_conditions(network.shape, batch=2, contents=((2, 2),), styles=1)


@pytest.fixture
def noise() -> Tensor:
    return torch.randn(2, 16, 4, 8, generator=torch.Generator().manual_seed(5))


@pytest.fixture
def styles() -> list[Tensor]:
    """Return style references of two sizes."""
    generator = torch.Generator().manual_seed(6)
    return [torch.rand(3, *size, generator=generator) * 2 - 1 for size in ((40, 40), (32, 64))]
