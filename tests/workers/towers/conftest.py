"""One small model of each kind a session, and the settings that load it."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.workers.towers.making import (
    released_csd,
    save_classifier,
    save_dinov2,
    save_open_clip,
    save_siglip,
    save_sscd,
)
from uso.training.reward.csd import convert_released
from workers.towers.settings import (
    ClassifierSettings,
    CsdSettings,
    Dinov2Settings,
    NanoSettings,
    OpenClipSettings,
    SiglipSettings,
    SscdSettings,
    TowerSettings,
)


@pytest.fixture(scope="session")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TowerSettings]:
    """Return settings by kind, all of models that were saved to a folder as a user has them."""
    folder = tmp_path_factory.mktemp("zoo")
    released_csd(folder / "released.pth")
    convert_released(folder / "released.pth", folder / "csd.safetensors")
    assert load_file(folder / "csd.safetensors")
    return {
        "nano": NanoSettings(),
        "csd": CsdSettings(kind="csd", weights=folder / "csd.safetensors", batch=4),
        "open_clip": OpenClipSettings(kind="open_clip", model=str(save_open_clip(folder / "clip")), batch=4, threads=2),
        "dinov2": Dinov2Settings(kind="dinov2", model=str(save_dinov2(folder / "dinov2")), batch=4),
        "siglip": SiglipSettings(kind="siglip", model=str(save_siglip(folder / "siglip")), batch=4),
        "sscd": SscdSettings(kind="sscd", weights=save_sscd(folder / "sscd.torchscript.pt"), side=64, batch=4),
        "classifier": ClassifierSettings(model=str(save_classifier(folder / "nsfw")), label="nsfw", batch=4),
    }


@pytest.fixture(scope="session")
def folder_of(zoo: dict[str, TowerSettings]) -> Path:
    """Return the folder that the models lie in."""
    csd = zoo["csd"]
    assert isinstance(csd, CsdSettings)
    return csd.weights.parent
